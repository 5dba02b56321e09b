// The file seam: what the real one answers, and that a durable write leaves the old file or the new one at every step.
#include "server/runtime/file_ops.h"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

using namespace lunaris::runtime;

namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/lunaris-files-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

/// Fails with `error` at the call number `fail_at` (from 1) of those that change or sync; counts them.
class FailingFileOps final : public FileOps {
 public:
  int fail_at = 0;
  int error = ENOSPC;
  int calls = 0;

  Result<UniqueFd> open(const std::string& path, int flags, unsigned mode) override {
    if (fails()) return errno_error(error);
    return real_.open(path, flags, mode);
  }
  Result<FileStatus> status(int fd) override { return real_.status(fd); }
  Result<FileStatus> status(const std::string& path) override { return real_.status(path); }
  Result<> write(int fd, std::string_view bytes) override {
    if (fails()) {
      static_cast<void>(real_.write(fd, bytes.substr(0, bytes.size() / 2)));
      return errno_error(error);
    }
    return real_.write(fd, bytes);
  }
  Result<std::string> read(int fd, std::size_t size_max) override { return real_.read(fd, size_max); }
  Result<> sync(int fd) override {
    if (fails()) return errno_error(error);
    return real_.sync(fd);
  }
  Result<> rename(const std::string& from, const std::string& to) override {
    if (fails()) return errno_error(error);
    return real_.rename(from, to);
  }
  Result<> remove(const std::string& path) override { return real_.remove(path); }
  Result<> make_folder(const std::string& path, unsigned mode) override { return real_.make_folder(path, mode); }
  Result<std::vector<std::string>> list(const std::string& folder) override { return real_.list(folder); }

 private:
  bool fails() { return ++calls == fail_at; }
  SystemFileOps real_;
};

}  // namespace

TEST_CASE("a file that was written durably reads back and replaces the one before", "[runtime][files]") {
  const Folder folder;
  SystemFileOps files;
  REQUIRE(write_file_durably(files, folder / "config.json", "first").has_value());
  REQUIRE(write_file_durably(files, folder / "config.json", "second").has_value());
  CHECK(*read_file(files, folder / "config.json", 100) == "second");
  CHECK(*files.list(folder.path) == std::vector<std::string>{"config.json"});
  CHECK(files.status(folder / "config.json")->mode == 0600);
  CHECK(files.status(folder / "config.json")->size_bytes == 6);
  CHECK(files.status(folder.path)->is_folder);
}

TEST_CASE("a durable write that fails at any step leaves the old file or the new one", "[runtime][files]") {
  FailingFileOps counting;
  {
    const Folder folder;
    REQUIRE(write_file_durably(counting, folder / "f", "x").has_value());
  }
  // open, write, sync, rename, open folder, sync folder
  REQUIRE(counting.calls == 6);
  for (int step = 1; step <= counting.calls; ++step) {
    const Folder folder;
    SystemFileOps real;
    REQUIRE(write_file_durably(real, folder / "f", "old content").has_value());
    FailingFileOps failing;
    failing.fail_at = step;
    const Result<> written = write_file_durably(failing, folder / "f", "new content");
    INFO("step " << step);
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error() == errno_error(ENOSPC));
    CHECK(*read_file(real, folder / "f", 100) == (step <= 4 ? "old content" : "new content"));
    CHECK(*real.list(folder.path) == std::vector<std::string>{"f"});  // nothing is left lying about
  }
}

TEST_CASE("a temporary file left by a crash does not disturb the next write", "[runtime][files]") {
  const Folder folder;
  SystemFileOps files;
  UniqueFd left = files.open(folder / "f.new", O_WRONLY | O_CREAT, 0600).value();
  REQUIRE(files.write(left.get(), "a longer piece of rubbish").has_value());
  left.reset();
  REQUIRE(write_file_durably(files, folder / "f", "short").has_value());
  CHECK(*read_file(files, folder / "f", 100) == "short");
}

TEST_CASE("files that are missing or too large are errors with their errno", "[runtime][files]") {
  const Folder folder;
  SystemFileOps files;
  CHECK(read_file(files, folder / "none", 10).error() == errno_error(ENOENT));
  REQUIRE(write_file_durably(files, folder / "f", "12345").has_value());
  CHECK(read_file(files, folder / "f", 5).has_value());
  CHECK(read_file(files, folder / "f", 4).error() == errno_error(EFBIG));
  CHECK(files.status(folder / "none").error() == errno_error(ENOENT));
  CHECK(files.list(folder / "none").error() == errno_error(ENOENT));
  CHECK(write_file_durably(files, folder / "none/f", "x").error() == errno_error(ENOENT));
  CHECK(files.make_folder(folder / "sub", 0700).has_value());
  CHECK(files.make_folder(folder / "sub", 0700).error() == errno_error(EEXIST));
  CHECK(files.remove(folder / "none").error() == errno_error(ENOENT));
}
