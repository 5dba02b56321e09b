// The part of the document that says who may log in: decoders and encoders of CHAP accounts, initiators and their LUNs.
// Used by json.cpp only.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "server/config/json.h"
#include "server/config/object_reader.h"

namespace lunaris::config {

/// "0" to "16383"; nothing for anything else.
[[nodiscard]] std::optional<std::uint16_t> parse_lun(std::string_view text);

void decode_auth(ObjectReader& reader, std::string_view member, Problems& problems, Auth& out);
/// The member "initiators": each a name, or an object.
void decode_initiators(ObjectReader& reader, Problems& problems, std::vector<Initiator>& out);

/// An initiator of which only the name is said is a string.
[[nodiscard]] boost::json::array encode_initiators(const std::vector<Initiator>& initiators, Secrets secrets);

[[nodiscard]] std::string_view to_string(ChapAlgorithm algorithm) noexcept;
[[nodiscard]] std::optional<ChapAlgorithm> parse_chap_algorithm(std::string_view text) noexcept;

}  // namespace lunaris::config
