// A Value as an error message shows it.
#pragma once

#include <string>

#include "base/value.h"

namespace vista::ops {

// In Python's notation and at most some hundred characters long, whatever the value: long text and
// deep nesting are cut.
std::string Describe(const Value& value);

}  // namespace vista::ops
