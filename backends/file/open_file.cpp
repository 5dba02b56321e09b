// Opening of files and block devices: options, creation, locking, size and geometry; each failure one clear sentence.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "backends/file/file_device.h"
#include "backends/options.h"

namespace lunaris::backends {

namespace {

struct FileOptions {
  std::string path;
  bool direct_io = false;
  Allocation allocation = Allocation::sparse;
  std::uint32_t queue_depth = 128;
};

FileOptions read_options(const boost::json::object& options, std::vector<OptionProblem>& problems) {
  static constexpr std::array<std::string_view, 2> allocations{"sparse", "full"};
  OptionReader reader(options, problems);
  reader.ignore("type");
  reader.ignore("filters");
  FileOptions file;
  file.path = reader.text("path", true);
  file.direct_io = reader.flag("direct_io", false);
  file.allocation = static_cast<Allocation>(reader.choice("allocate", allocations, 0));
  file.queue_depth = static_cast<std::uint32_t>(reader.number("queue_depth", 1, 1024, 128));
  reader.finish();
  return file;
}

/// "2 GiB", "1536 MiB", "1000 bytes": the largest unit that says it exactly.
std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units{"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + " " + std::string(units[unit]);
}

/// Opens one volume's file. A step that fails leaves its sentence in `reason_` and returns the error.
class Opener {
 public:
  Opener(const OpenRequest& request, const FileOptions& options, std::string& reason)
      : request_(request), options_(options), reason_(reason) {
    const std::filesystem::path path(options.path);
    state_->path = (path.is_absolute() ? path : std::filesystem::path(request.data_folder) / path).string();
    state_->allocation = options.allocation;
    state_->queue_depth = options.queue_depth;
    state_->direct_io = options.direct_io;
    state_->geometry.read_only = request.read_only;
  }

  Result<std::unique_ptr<BlockDevice>> open() {
    Result<> done = open_or_create();
    if (done.has_value()) done = lock();
    if (done.has_value()) done = settle_size();
    if (done.has_value()) done = settle_geometry();
    if (done.has_value()) return std::unique_ptr<BlockDevice>(std::make_unique<FileDevice>(std::move(state_)));
    // Only what this call has made, and while it still holds the lock on it.
    if (created_) ::unlink(state_->path.c_str());
    return done.error();
  }

 private:
  using Errc = BackendError;
  [[nodiscard]] int fd() const noexcept { return state_->fd.get(); }
  [[nodiscard]] const std::string& path() const noexcept { return state_->path; }
  Result<> fail(BackendError error, std::string sentence) {
    reason_ = std::move(sentence);
    return make_error_code(error);
  }
  [[nodiscard]] int open_flags() const noexcept {
    return (request_.read_only ? O_RDONLY : O_RDWR) | (options_.direct_io ? O_DIRECT : 0) | O_CLOEXEC;
  }

  Result<> open_or_create();
  Result<> open_existing(const struct stat& facts);
  Result<> create();
  Result<> cannot_open(int error);
  Result<> lock();
  Result<> settle_size();
  Result<> settle_device_size(std::uint64_t size);
  Result<> grow(std::uint64_t from, std::uint64_t size);
  Result<> make_durable();
  Result<> settle_geometry();
  void settle_file_geometry(const struct stat& facts);
  void settle_device_geometry(const struct stat& facts);

  const OpenRequest& request_;
  const FileOptions& options_;
  std::string& reason_;
  std::unique_ptr<FileState> state_ = std::make_unique<FileState>();
  bool created_ = false;
};

Result<> Opener::open_or_create() {
  struct stat facts{};
  if (::stat(path().c_str(), &facts) == 0) return open_existing(facts);
  if (errno != ENOENT) return cannot_open(errno);
  const std::string folder = std::filesystem::path(path()).parent_path().string();
  if (::stat(folder.c_str(), &facts) != 0) {
    return fail(Errc::gone, "the folder " + folder + " does not exist: make it first, or correct the path");
  }
  if (!request_.create || request_.read_only) {
    return fail(Errc::gone, path() + " does not exist: correct the path, or let Lunaris create it");
  }
  return create();
}

Result<> Opener::open_existing(const struct stat& facts) {
  if (S_ISDIR(facts.st_mode)) return fail(Errc::not_supported, path() + " is a directory: name a file in it");
  state_->is_block_device = S_ISBLK(facts.st_mode);
  if (!S_ISREG(facts.st_mode) && !state_->is_block_device) {
    return fail(Errc::not_supported, path() + " is neither a file nor a block device");
  }
  // O_EXCL on a block device: refused while the kernel has it mounted or in a RAID or volume group.
  const bool exclusive = state_->is_block_device && !request_.read_only;
  state_->fd = runtime::UniqueFd(::open(path().c_str(), open_flags() | (exclusive ? O_EXCL : 0)));
  if (!state_->fd) return cannot_open(errno);
  return {};
}

Result<> Opener::create() {
  if (request_.size_bytes == 0) {
    return fail(Errc::not_supported, path() + " does not exist, and the volume has no size to create it with");
  }
  state_->fd = runtime::UniqueFd(::open(path().c_str(), open_flags() | O_CREAT | O_EXCL, 0600));
  created_ = static_cast<bool>(state_->fd);
  if (created_) return {};
  const int error = errno;
  struct stat facts{};
  // Somebody else made it between the look and the creation: theirs it is, and the lock decides who may use it.
  if (error == EEXIST && ::stat(path().c_str(), &facts) == 0) return open_existing(facts);
  // Some file systems make the file and refuse O_DIRECT afterwards.
  if (error == EINVAL) ::unlink(path().c_str());
  return cannot_open(error);
}

Result<> Opener::cannot_open(int error) {
  const std::string purpose = request_.read_only ? "reading" : "reading and writing";
  switch (error) {
    case EACCES:
    case EPERM:
      return fail(Errc::gone, "no permission to open " + path() + " for " + purpose + ": give it to user id " +
                                  std::to_string(::geteuid()) + ", which Lunaris runs as");
    case EROFS:
      return fail(Errc::read_only, path() + " lies on a read-only file system: make the volume read-only");
    case EBUSY:
      return fail(Errc::gone, path() + " is in use (mounted, or part of a RAID or a volume group): free it first");
    case EINVAL:
      if (options_.direct_io) {
        return fail(Errc::not_supported,
                    "the file system of " + path() + " has no direct I/O: set \"direct_io\" to false");
      }
      break;
    case ENXIO:
    case ENODEV:
      return fail(Errc::gone, "there is no device behind " + path());
    case ENOTDIR:
      return fail(Errc::gone, "a part of the path " + path() + " is not a directory");
    case ENOSPC:
    case EDQUOT:
      return fail(Errc::out_of_space, "no space left to create " + path());
    default:
      break;
  }
  return fail(Errc::gone, "cannot open " + path() + ": " + std::strerror(error));
}

Result<> Opener::lock() {
  struct flock whole{};
  whole.l_type = request_.read_only ? F_RDLCK : F_WRLCK;
  whole.l_whence = SEEK_SET;
  // Bound to this open file, not to the process: a second volume of this process on the same file is refused as well,
  // and no other descriptor's closing gives the lock up.
  if (::fcntl(fd(), F_OFD_SETLK, &whole) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    // Not ours to remove, even if this call has made it.
    created_ = false;
    return fail(Errc::gone, path() +
                                " is in use by another volume or another Lunaris: stop that one, or give volume \"" +
                                request_.name + "\" a file of its own");
  }
  // A file system without locks (some network ones): go on, there is nothing better to ask.
  return {};
}

Result<> Opener::settle_size() {
  const Result<std::uint64_t> size = size_of_file(fd(), state_->is_block_device);
  if (size.has_error()) return fail(Errc::gone, "cannot tell the size of " + path());
  const std::uint64_t wanted = request_.size_bytes == 0 ? *size : request_.size_bytes;
  state_->geometry.size_bytes = wanted;
  if (wanted == 0) return fail(Errc::not_supported, path() + " is empty: give the volume a size");
  if (state_->is_block_device) return settle_device_size(*size);
  if (wanted < *size) {
    return fail(Errc::not_supported, path() + " is " + size_text(*size) + ", the configuration says " +
                                         size_text(wanted) + ": set the size to that of the file (shrinking would " +
                                         "cut off data), or use another file");
  }
  if (request_.read_only) {
    if (wanted == *size) return {};
    return fail(Errc::read_only, path() + " is " + size_text(*size) + ", the configuration says " + size_text(wanted) +
                                     ", and a read-only volume cannot grow: correct the size");
  }
  if (wanted > *size || state_->allocation == Allocation::full) return grow(*size, wanted);
  return {};
}

Result<> Opener::settle_device_size(std::uint64_t size) {
  if (state_->geometry.size_bytes == size) return {};
  return fail(Errc::not_supported, "the device " + path() + " is " + size_text(size) + ", the configuration says " +
                                       size_text(state_->geometry.size_bytes) + ": leave the size out, or correct it");
}

Result<> Opener::grow(std::uint64_t from, std::uint64_t size) {
  const auto length = static_cast<off_t>(size);
  bool grown = ::ftruncate(fd(), length) == 0;
  if (grown && state_->allocation == Allocation::full) grown = ::fallocate(fd(), 0, 0, length) == 0;
  if (grown) return make_durable();
  const int error = errno;
  // As it was: a file that is longer than its volume would be refused from now on.
  static_cast<void>(::ftruncate(fd(), static_cast<off_t>(from)));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return fail(Errc::out_of_space, "no space left to give " + path() + " its " + size_text(size));
    case EFBIG:
      return fail(Errc::out_of_space,
                  "the file system cannot hold a file of " + size_text(size) + ", as " + path() + " should be");
    case EOPNOTSUPP:
      return fail(Errc::not_supported,
                  "the file system of " + path() + " cannot reserve space: set \"allocate\" to \"sparse\"");
    default:
      return fail(Errc::write_failed,
                  "cannot make " + path() + " " + size_text(size) + " long: " + std::strerror(error));
  }
}

/// The new size, and for a new file its name, survive a power cut before anybody is told that they are there.
Result<> Opener::make_durable() {
  if (::fsync(fd()) != 0) return fail(Errc::flush_failed, "cannot flush " + path() + ": " + std::strerror(errno));
  if (!created_) return {};
  const std::string folder = std::filesystem::path(path()).parent_path().string();
  const runtime::UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    return fail(Errc::flush_failed, "cannot flush the folder " + folder + ": " + std::strerror(errno));
  }
  return {};
}

Result<> Opener::settle_geometry() {
  struct stat facts{};
  if (::fstat(fd(), &facts) != 0) return fail(Errc::gone, "cannot look at " + path());
  state_->geometry.volatile_cache = true;
  if (state_->is_block_device) {
    settle_device_geometry(facts);
  } else {
    settle_file_geometry(facts);
  }
  const std::uint32_t alignment = state_->geometry.io_alignment;
  if (state_->geometry.size_bytes % alignment == 0) return {};
  return fail(Errc::not_supported, path() + " is " + size_text(state_->geometry.size_bytes) +
                                       ", not a multiple of the " + std::to_string(alignment) +
                                       " bytes that direct I/O needs: correct the size, or set \"direct_io\" to false");
}

void Opener::settle_file_geometry(const struct stat& facts) {
  Geometry& geometry = state_->geometry;
  const auto block = static_cast<std::uint32_t>(facts.st_blksize);
  // Network file systems report their transfer size here, up to a MiB; that is not a physical block.
  geometry.physical_block_bytes = std::has_single_bit(block) && block >= 512 && block <= 4096 ? block : 4096;
  geometry.thin = state_->allocation == Allocation::sparse;
  if (state_->direct_io) {
    struct statx more{};
    const bool known = ::statx(fd(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &more) == 0 &&
                       (more.stx_mask & STATX_DIOALIGN) != 0 && std::has_single_bit(more.stx_dio_offset_align);
    geometry.io_alignment =
        known ? std::max(more.stx_dio_offset_align, more.stx_dio_mem_align) : geometry.physical_block_bytes;
  }
  // A punch behind the end changes nothing, and says whether the file system knows how to.
  const auto end = static_cast<off_t>(geometry.size_bytes);
  if (!geometry.read_only && geometry.thin &&
      ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, geometry.physical_block_bytes) == 0) {
    geometry.discard_granularity = geometry.physical_block_bytes;
    geometry.discard_reads_zero = true;
  }
}

/// A number from the block device's queue folder in sysfs; 0 when there is none. A partition's is its disk's.
std::uint64_t queue_limit(dev_t device, const std::string& name) {
  const std::string folder =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + "/";
  for (const std::string_view place : {"queue/", "../queue/"}) {
    std::ifstream file(folder + std::string(place) + name);
    std::uint64_t value = 0;
    if (file >> value) return value;
  }
  return 0;
}

void Opener::settle_device_geometry(const struct stat& facts) {
  Geometry& geometry = state_->geometry;
  unsigned physical = 0;
  if (::ioctl(fd(), BLKPBSZGET, &physical) == 0 && std::has_single_bit(physical)) {
    geometry.physical_block_bytes = physical;
  }
  unsigned optimal = 0;
  if (::ioctl(fd(), BLKIOOPT, &optimal) == 0) geometry.optimal_io_bytes = optimal;
  int logical = 0;
  if (state_->direct_io) {
    const bool known = ::ioctl(fd(), BLKSSZGET, &logical) == 0 && logical > 0;
    geometry.io_alignment = known ? static_cast<std::uint32_t>(logical) : 4096;
  }
  // The kernel punches by unmapping zero writes (blkdev_fallocate): without those there is no discard that is sure to
  // read back as zeros.
  const std::uint64_t granularity = queue_limit(facts.st_rdev, "discard_granularity");
  if (granularity > 0 && granularity <= UINT32_MAX && queue_limit(facts.st_rdev, "write_zeroes_max_bytes") > 0) {
    geometry.discard_granularity = static_cast<std::uint32_t>(granularity);
    geometry.discard_reads_zero = true;
  }
}

}  // namespace

std::vector<OptionProblem> check_file(const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  read_options(options, problems);
  return problems;
}

Result<std::unique_ptr<BlockDevice>> open_file(const OpenRequest& request, const boost::json::object& options,
                                               std::string& reason) {
  std::vector<OptionProblem> problems;
  const FileOptions file = read_options(options, problems);
  if (!problems.empty()) {
    reason = in_one_line(problems);
    return make_error_code(BackendError::not_supported);
  }
  return Opener(request, file, reason).open();
}

}  // namespace lunaris::backends
