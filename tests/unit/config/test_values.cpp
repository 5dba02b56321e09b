// Sizes, addresses, names and UUIDs as configuration strings have them.
#include <catch2/catch.hpp>

#include "server/config/values.h"

using namespace lunaris::config;

TEST_CASE("a size is a whole number with an optional binary unit", "[config]") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("512") == 512);
  CHECK(parse_size("1B") == 1);
  CHECK(parse_size("4KiB") == 4096);
  CHECK(parse_size("64MiB") == 64U << 20);
  CHECK(parse_size("10 GiB") == std::uint64_t{10} << 30);
  CHECK(parse_size("2TiB") == std::uint64_t{2} << 40);
  CHECK(parse_size("16383PiB") == std::uint64_t{16383} << 50);
}

TEST_CASE("a size that overflows or is ambiguous is refused", "[config]") {
  for (const char* text : {"", "GiB", "-1", "+1", "1.5GiB", "1GB", "1G", "1 gib", "0x10", "16384PiB",
                           "18446744073709551616", "1GiBGiB", "1e9", "007", " 1"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text).has_value());
  }
}

TEST_CASE("a size is written in the largest unit that is exact", "[config]") {
  CHECK(size_text(0) == "0");
  CHECK(size_text(1000) == "1000");
  CHECK(size_text(std::uint64_t{10} << 30) == "10GiB");
  CHECK(size_text((std::uint64_t{1} << 30) + 1024) == "1048577KiB");
}

TEST_CASE("an address is numeric and becomes canonical", "[config]") {
  CHECK(parse_address("127.0.0.1:3261", 3260) == Address{"127.0.0.1", 3261});
  CHECK(parse_address("0.0.0.0", 3260) == Address{"0.0.0.0", 3260});
  CHECK(parse_address("[::1]:1", 3260) == Address{"::1", 1});
  CHECK(parse_address("[0:0:0:0:0:0:0:1]", 3260) == Address{"::1", 3260});
  for (const char* text : {"", "localhost:3260", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", "1.2.3:1", "::1",
                           "[::1", "[::1]3260", "[127.0.0.1]:3260", "127.0.0.1:3260x", "127.0.0.1:03260"}) {
    INFO(text);
    CHECK_FALSE(parse_address(text, 3260).has_value());
  }
  CHECK(address_text("::1", 3260) == "[::1]:3260");
  CHECK(address_text("127.0.0.1", 3260) == "127.0.0.1:3260");
}

TEST_CASE("an advertised address has host and port and group tag", "[config]") {
  CHECK(is_advertised_address("storage.example:3260,1"));
  CHECK(is_advertised_address("10.0.0.5:3260,2"));
  CHECK(is_advertised_address("[2001:db8::1]:3260,65535"));
  for (const char* text :
       {"", "host", "host:3260", "host,1", ":3260,1", "host:0,1", "host:1,0", "[x]:1,1", "a b:1,1"}) {
    INFO(text);
    CHECK_FALSE(is_advertised_address(text));
  }
}

TEST_CASE("a name of an object begins with a letter or digit and has at most 63 characters", "[config]") {
  CHECK(is_object_name("a"));
  CHECK(is_object_name("0db.1_x:y-z"));
  CHECK(is_object_name(std::string(63, 'a')));
  for (const std::string& name : {std::string(), std::string("-a"), std::string("A"), std::string("a b"),
                                  std::string("a/b"), std::string(64, 'a')}) {
    INFO(name);
    CHECK_FALSE(is_object_name(name));
  }
}

TEST_CASE("an iSCSI name is of the iqn or eui or naa form", "[config][rfc7143-4.2.7]") {
  for (const char* name : {"iqn.2026-01.io.lunaris:demo", "iqn.1994-05.com.redhat:node1", "IQN.2001-04.com.Example",
                           "eui.02004567A425678D", "naa.52004567BA64678D", "naa.62004567BA64678D0123456789ABCDEF"}) {
    INFO(name);
    CHECK(iscsi_name_fault(name).empty());
  }
  for (const char* name :
       {"", "demo", "iqn.", "iqn.2026", "iqn.2026-13.io.x", "iqn.2026-01", "iqn.2026-01.", "iqn.2026-01.:x",
        "iqn.2026-01.io.x:a b", "iqn.2026-01.io.x:a_b", "eui.123", "naa.1234567890123456x", "eui.02004567A425678G"}) {
    INFO(name);
    CHECK_FALSE(iscsi_name_fault(name).empty());
  }
  CHECK_FALSE(iscsi_name_fault("iqn.2026-01.io.x:" + std::string(223, 'a')).empty());
}

TEST_CASE("a UUID is read and written in its usual form", "[config]") {
  const auto uuid = parse_uuid("01234567-89AB-cdef-0123-456789abcdef");
  REQUIRE(uuid.has_value());
  CHECK((*uuid)[0] == 0x01);
  CHECK((*uuid)[15] == 0xef);
  CHECK(uuid_text(*uuid) == "01234567-89ab-cdef-0123-456789abcdef");
  CHECK_FALSE(parse_uuid("0123456789abcdef0123456789abcdef").has_value());
  CHECK_FALSE(parse_uuid("01234567-89ab-cdef-0123-456789abcdeg").has_value());
}

TEST_CASE("the name that was probably meant is found", "[config]") {
  const std::vector<std::string_view> names{"size", "backend", "block_size", "read_only"};
  CHECK(closest_name("siez", names) == "size");
  CHECK(closest_name("readonly", names) == "read_only");
  CHECK(closest_name("blocksize", names) == "block_size");
  CHECK(closest_name("something_else_entirely", names).empty());
}
