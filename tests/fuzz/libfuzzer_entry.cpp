// libFuzzer's entry point: hands its inputs to the target.
#include <cstdint>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lunaris::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
