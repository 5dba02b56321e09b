// Keeps two versions of everything: what processes see, and what is certain to survive.
#include "tests/unit/control/fake_disk.h"

#include <fcntl.h>

#include <cerrno>

namespace lunaris::control::test {

using runtime::errno_error;
using runtime::Result;

bool FakeDisk::fails() {
  ++steps;
  return failing_step != 0 && (fails_once ? steps == failing_step : steps >= failing_step);
}

std::unique_ptr<FakeDisk> FakeDisk::after(Survivor survivor) const {
  auto disk = std::make_unique<FakeDisk>();
  disk->folders_ = folders_;
  const Names& names = survivor == Survivor::synced ? synced_names_ : names_;
  for (const auto& [name, file] : names) {
    disk->put(name, survivor == Survivor::everything ? file->content : file->synced);
  }
  return disk;
}

void FakeDisk::put(const std::string& path, const std::string& content) {
  folders_.insert(path.substr(0, path.rfind('/')));
  names_[path] = std::make_shared<File>(File{content, content});
  synced_names_[path] = names_[path];
}

std::set<std::string> FakeDisk::names() const {
  std::set<std::string> names;
  for (const auto& entry : names_) names.insert(entry.first);
  return names;
}

Result<runtime::UniqueFd> FakeDisk::open(const std::string& path, int flags, unsigned) {
  const bool is_folder = folders_.contains(path);
  if ((flags & O_CREAT) != 0) {
    if (fails()) return errno_error(error);
    names_[path] = std::make_shared<File>();
  } else if (!is_folder && !names_.contains(path)) {
    return errno_error(ENOENT);
  }
  runtime::UniqueFd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));  // a number that nobody else has
  open_[fd.get()] = path;
  return fd;
}

Result<runtime::FileStatus> FakeDisk::status(int fd) {
  return status(open_.at(fd));
}

Result<runtime::FileStatus> FakeDisk::status(const std::string& path) {
  if (!names_.contains(path)) return errno_error(ENOENT);
  return runtime::FileStatus{.size_bytes = names_.at(path)->content.size(), .is_regular = true};
}

Result<> FakeDisk::write(int fd, std::string_view bytes) {
  File& file = *names_.at(open_.at(fd));
  if (fails()) {
    file.content += bytes.substr(0, bytes.size() / 2);  // a full disk takes a part
    return errno_error(error);
  }
  file.content += bytes;
  return {};
}

Result<std::string> FakeDisk::read(int fd, std::size_t size_max) {
  const File& file = *names_.at(open_.at(fd));
  if (file.content.size() > size_max) return errno_error(EFBIG);
  return file.content;
}

Result<> FakeDisk::sync(int fd) {
  if (fails()) return errno_error(error);
  const std::string& path = open_.at(fd);
  if (folders_.contains(path)) {
    synced_names_ = names_;
  } else {
    names_.at(path)->synced = names_.at(path)->content;
  }
  return {};
}

Result<> FakeDisk::rename(const std::string& from, const std::string& to) {
  if (fails()) return errno_error(error);
  names_[to] = names_.at(from);
  names_.erase(from);
  return {};
}

Result<> FakeDisk::remove(const std::string& path) {
  if (fails()) return errno_error(error);
  if (names_.erase(path) == 0) return errno_error(ENOENT);
  return {};
}

Result<> FakeDisk::make_folder(const std::string& path, unsigned) {
  if (fails()) return errno_error(error);
  if (!folders_.insert(path).second) return errno_error(EEXIST);
  return {};
}

Result<std::vector<std::string>> FakeDisk::list(const std::string& folder) {
  if (!folders_.contains(folder)) return errno_error(ENOENT);
  std::vector<std::string> found;
  for (const auto& [name, file] : names_) {
    if (name.starts_with(folder + "/")) found.push_back(name.substr(folder.size() + 1));
  }
  return found;
}

}  // namespace lunaris::control::test
