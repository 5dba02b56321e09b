// Definitions of Worker's templates: post, ask, ask_task. Included by worker.h, by nobody else.
#pragma once
