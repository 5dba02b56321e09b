// Asio itself, compiled once (BOOST_ASIO_SEPARATE_COMPILATION), with the ring fix in force.
#include <boost/asio/impl/src.hpp>
