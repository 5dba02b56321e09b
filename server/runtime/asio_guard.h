// AsioGuard: in debug builds, aborts when an Asio socket or descriptor is closed or released while an operation is
// pending on it, and when a handler is made for a worker's context in a foreign thread. Both are silent otherwise: the
// next connection receives the dead one's operations, or a queue is corrupted. Asio includes this file through
// BOOST_ASIO_CUSTOM_HANDLER_TRACKING, which lunaris_asio sets for every translation unit of a debug build alike.
#pragma once

#include <cstdint>

namespace boost::asio {
class execution_context;
}

namespace lunaris::runtime::asio_guard {

/// Base of every Asio operation: remembers the descriptor it is pending on.
class Tracked {
 protected:
  Tracked() = default;
  ~Tracked() = default;

 private:
  friend void creation(boost::asio::execution_context&, Tracked&, const char*, void*, std::uintmax_t, const char*);
  friend void completion(const Tracked&);
  int descriptor_ = -1;
};

void creation(boost::asio::execution_context& context, Tracked& operation, const char* object_type, void* object,
              std::uintmax_t native_handle, const char* name);
void completion(const Tracked& operation);
void operation(boost::asio::execution_context& context, const char* object_type, void* object,
               std::uintmax_t native_handle, const char* name);

/// From now on `context` belongs to the calling thread alone; `disown` before it is destroyed.
void own(boost::asio::execution_context& context);
void disown(boost::asio::execution_context& context);

}  // namespace lunaris::runtime::asio_guard

#define BOOST_ASIO_INHERIT_TRACKED_HANDLER : public ::lunaris::runtime::asio_guard::Tracked
#define BOOST_ASIO_ALSO_INHERIT_TRACKED_HANDLER , public ::lunaris::runtime::asio_guard::Tracked
#define BOOST_ASIO_HANDLER_TRACKING_INIT (void)0
#define BOOST_ASIO_HANDLER_LOCATION(args) (void)0
#define BOOST_ASIO_HANDLER_CREATION(args) ::lunaris::runtime::asio_guard::creation args
#define BOOST_ASIO_HANDLER_COMPLETION(args) ::lunaris::runtime::asio_guard::completion args
#define BOOST_ASIO_HANDLER_INVOCATION_BEGIN(args) (void)0
#define BOOST_ASIO_HANDLER_INVOCATION_END (void)0
#define BOOST_ASIO_HANDLER_OPERATION(args) ::lunaris::runtime::asio_guard::operation args
#define BOOST_ASIO_HANDLER_REACTOR_REGISTRATION(args) (void)0
#define BOOST_ASIO_HANDLER_REACTOR_DEREGISTRATION(args) (void)0
#define BOOST_ASIO_HANDLER_REACTOR_READ_EVENT 0
#define BOOST_ASIO_HANDLER_REACTOR_WRITE_EVENT 0
#define BOOST_ASIO_HANDLER_REACTOR_ERROR_EVENT 0
#define BOOST_ASIO_HANDLER_REACTOR_EVENTS(args) (void)0
#define BOOST_ASIO_HANDLER_REACTOR_OPERATION(args) (void)0
