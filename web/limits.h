// Limits of the web server, each with the reason for its number. Used by web/ only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lunaris::web::limits {

// --- HTTP ------------------------------------------------------------------------------------------------------------

/// A browser opens six; a few people, a scraper and some scripts fit. More get 503 at once.
inline constexpr std::size_t connections_max = 64;
/// Cookies and a bearer token are below 1 KiB; the rest is what browsers send.
inline constexpr std::uint32_t header_bytes_max = 16U << 10;
/// A configuration of 2,000 volumes; larger ones go through the management socket.
inline constexpr std::size_t body_bytes_max = std::size_t{1} << 20;
/// Longer ones are no address of ours.
inline constexpr std::size_t path_bytes_max = 2048;
/// The kernel takes a moment to give up the address of a process that was killed: its ring is taken down behind it.
inline constexpr std::chrono::seconds bind_time_max{2};
/// Request headers, from the first byte.
inline constexpr std::chrono::seconds header_time_max{10};
/// The body: 1 MiB over a slow line.
inline constexpr std::chrono::seconds body_time_max{30};
/// Who takes longer to read an answer has died or means harm.
inline constexpr std::chrono::seconds answer_time_max{30};
/// Between two requests of a connection.
inline constexpr std::chrono::seconds idle_time_max{60};
/// After a refusal the rest of the request is read and dropped for so long, so that the client sees the answer.
inline constexpr std::chrono::seconds linger_time_max{1};

// --- access ----------------------------------------------------------------------------------------------------------

inline constexpr std::size_t users_max = 256;
inline constexpr std::size_t tokens_max = 1024;
/// Browsers logged in at once; the one that has been idle longest gives way.
inline constexpr std::size_t logins_max = 512;
inline constexpr std::chrono::hours login_idle_max{12};
/// A password is hashed in 0.1 s; a shorter one is guessed from a stolen file.
inline constexpr std::size_t password_bytes_min = 10;
inline constexpr std::size_t password_bytes_max = 256;
inline constexpr std::size_t user_name_bytes_max = 63;
/// Attempts per minute for one address and user name, and for one address.
inline constexpr std::uint32_t login_attempts_per_user = 5;
inline constexpr std::uint32_t login_attempts_per_address = 20;
/// Addresses and names remembered by the rate limit.
inline constexpr std::size_t login_keys_max = 4096;
/// Passwords are hashed one at a time (32 MiB each); so many may wait.
inline constexpr std::size_t hashes_waiting_max = 8;
inline constexpr std::size_t accounts_bytes_max = std::size_t{1} << 20;

// --- API -------------------------------------------------------------------------------------------------------------

inline constexpr std::size_t page_items_max = 1000;
inline constexpr std::size_t page_items_default = 200;
/// A change without If-Match that others overtake is built again so often.
inline constexpr unsigned change_attempts_max = 16;
/// 15 minutes of one sample a second.
inline constexpr std::size_t samples_max = 900;

}  // namespace lunaris::web::limits
