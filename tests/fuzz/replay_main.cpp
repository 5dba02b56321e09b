// Replays a corpus in every test run: each file of the directory once, and each of its prefixes of up to 96 bytes, so
// that truncated input is covered without a file for each.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace {

constexpr std::size_t prefix_bytes_max = 96;

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> characters{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::byte> bytes(characters.size());
  std::ranges::transform(characters, bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

/// In memory of exactly its size, so that AddressSanitizer sees the first byte beyond.
void run(std::span<const std::byte> input) {
  const std::vector<std::byte> copy(input.begin(), input.end());
  lunaris::fuzz::fuzz_one(copy);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
    if (entry.is_regular_file()) paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::size_t runs = 0;
  for (const auto& path : paths) {
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);  // the last line names the input that failed
    const auto input = read_file(path);
    const std::size_t prefixes = std::min(input.size(), prefix_bytes_max);
    for (std::size_t size = 0; size < prefixes; ++size) run(std::span(input).first(size));
    run(input);
    runs += prefixes + 1;
  }
  std::printf("%zu inputs, %zu runs\n", paths.size(), runs);
  // An empty corpus tests nothing.
  return paths.empty() ? 1 : 0;
}
