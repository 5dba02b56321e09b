// The free lists behind every coroutine frame, and the header by which a freed frame finds its pool.
#include "server/runtime/frame_pool.h"

#include <new>

namespace lunaris::runtime {
namespace {

thread_local FramePool* current_pool = nullptr;

// Every block starts with the pool it came from, so that it can be given back to the right place.
struct Header {
  FramePool* owner;
};
constexpr std::size_t header_bytes = alignof(std::max_align_t);
static_assert(sizeof(Header) <= header_bytes);

constexpr std::size_t class_of(std::size_t size) noexcept {
  return (size + FramePool::class_bytes - 1) / FramePool::class_bytes;
}

}  // namespace

FramePool* FramePool::current() noexcept {
  return current_pool;
}
void FramePool::set_current(FramePool* pool) noexcept {
  current_pool = pool;
}

FramePool::~FramePool() {
  if (current_pool == this) current_pool = nullptr;
  for (std::size_t i = 0; i < class_count; ++i) give_back(i, kept_[i]);
}

void* FramePool::allocate(std::size_t size) {
  FramePool* pool = current_pool;
  const std::size_t total = size + header_bytes;
  const std::size_t size_class = class_of(total);
  if (pool == nullptr || size_class >= class_count) {
    auto* block = static_cast<std::byte*>(::operator new(total));
    new (block) Header{nullptr};
    if (pool != nullptr) ++pool->heap_allocations_;
    return block + header_bytes;
  }
  std::byte* block = nullptr;
  if (Free* free = pool->free_[size_class]; free != nullptr) {
    pool->free_[size_class] = free->next;
    --pool->kept_[size_class];
    block = reinterpret_cast<std::byte*>(free);
  } else {
    block = static_cast<std::byte*>(::operator new(size_class * class_bytes));
    ++pool->heap_allocations_;
  }
  new (block) Header{pool};
  return block + header_bytes;
}

void FramePool::deallocate(void* frame, std::size_t size) noexcept {
  auto* block = static_cast<std::byte*>(frame) - header_bytes;
  FramePool* owner = reinterpret_cast<Header*>(block)->owner;
  if (owner == nullptr || owner != current_pool) {
    ::operator delete(block);
    return;
  }
  const std::size_t size_class = class_of(size + header_bytes);
  if (owner->kept_[size_class] == kept_max) owner->give_back(size_class, slack);
  owner->free_[size_class] = new (block) Free{owner->free_[size_class]};
  ++owner->kept_[size_class];
}

void FramePool::give_back(std::size_t size_class, std::uint32_t count) noexcept {
  for (; count > 0; --count) {
    Free* free = free_[size_class];
    free_[size_class] = free->next;
    --kept_[size_class];
    ::operator delete(free);
  }
}

}  // namespace lunaris::runtime
