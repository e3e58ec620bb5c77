// What a client does with a gzip body.
#pragma once

#include <string>

namespace isthmus::test {

std::string gunzip(const std::string& compressed);

}  // namespace isthmus::test
