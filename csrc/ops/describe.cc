#include "ops/describe.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "base/tensor.h"
#include "image/image.h"

namespace vista::ops {
namespace {

constexpr std::size_t kMostText = 48;
constexpr std::size_t kMostItems = 8;
constexpr std::size_t kMostLength = 160;
constexpr int kMostDepth = 2;

void Append(const Value& value, int depth, std::string* out);

std::string Number(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  std::string shortest(text, end);
  if (shortest.find_first_of(".e") == std::string::npos) shortest += ".0";
  return shortest;
}

// Whole UTF-8 characters only, so that the message stays valid text.
std::string Cut(std::string_view text) {
  if (text.size() <= kMostText) return std::string(text);
  std::size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

void AppendList(const Value::List& list, int depth, std::string* out) {
  *out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) *out += ", ";
    if (i == kMostItems || depth >= kMostDepth || out->size() > kMostLength) {
      *out += "... " + std::to_string(list.size()) + " in all";
      break;
    }
    Append(list[i], depth + 1, out);
  }
  *out += ']';
}

void AppendDict(const Value::Dict& dict, int depth, std::string* out) {
  *out += '{';
  for (std::size_t i = 0; i < dict.size(); ++i) {
    if (i > 0) *out += ", ";
    if (i == kMostItems || depth >= kMostDepth || out->size() > kMostLength) {
      *out += "... " + std::to_string(dict.size()) + " in all";
      break;
    }
    *out += "'" + Cut(dict[i].first) + "': ";
    Append(dict[i].second, depth + 1, out);
  }
  *out += '}';
}

void AppendObject(const ObjectRef& object, std::string* out) {
  if (const auto* image = dynamic_cast<const Image*>(object.get())) {
    *out +=
        "an Image of " + std::to_string(image->width()) + " x " + std::to_string(image->height());
  } else if (const auto* tensor = dynamic_cast<const Tensor*>(object.get())) {
    *out += std::string("an array of ") + DTypeName(tensor->dtype()) + " [";
    for (std::size_t i = 0; i < tensor->shape().size(); ++i) {
      *out += (i > 0 ? ", " : "") + std::to_string(tensor->shape()[i]);
    }
    *out += ']';
  } else {
    *out += "an object";
  }
}

void Append(const Value& value, int depth, std::string* out) {
  if (const auto* flag = value.get_if<bool>()) {
    *out += *flag ? "True" : "False";
  } else if (const auto* whole = value.get_if<std::int64_t>()) {
    *out += std::to_string(*whole);
  } else if (const auto* number = value.get_if<double>()) {
    *out += Number(*number);
  } else if (const auto* text = value.get_if<std::string>()) {
    *out += "'" + Cut(*text) + "'";
  } else if (const auto* bytes = value.get_if<Bytes>()) {
    *out += std::to_string(bytes->data.size()) + " bytes";
  } else if (const auto* list = value.get_if<Value::List>()) {
    AppendList(*list, depth, out);
  } else if (const auto* dict = value.get_if<Value::Dict>()) {
    AppendDict(*dict, depth, out);
  } else if (const auto* object = value.get_if<ObjectRef>()) {
    AppendObject(*object, out);
  } else {
    *out += "None";
  }
}

}  // namespace

std::string Describe(const Value& value) {
  std::string text;
  Append(value, 0, &text);
  return text;
}

}  // namespace vista::ops
