#include "ops/arguments.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "ops/describe.h"

namespace vista::ops {
namespace {

// An int, or a float without a fraction: JSON does not tell them apart.
std::optional<std::int64_t> WholeOf(const Value& value) {
  constexpr double kMostExact = 9007199254740992.0;  // 2^53
  if (const auto* whole = value.get_if<std::int64_t>()) return *whole;
  const auto* number = value.get_if<double>();
  if (number == nullptr || std::abs(*number) > kMostExact || *number != std::floor(*number))
    return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::optional<double> NumberOf(const Value& value) {
  if (const auto* whole = value.get_if<std::int64_t>()) return static_cast<double>(*whole);
  if (const auto* number = value.get_if<double>()) return *number;
  return std::nullopt;
}

template <std::size_t N>
std::optional<std::array<double, N>> NumbersOf(const Value& value) {
  const auto* list = value.get_if<Value::List>();
  if (list == nullptr || list->size() != N) return std::nullopt;
  std::array<double, N> numbers;
  for (std::size_t i = 0; i < N; ++i) {
    const std::optional<double> number = NumberOf((*list)[i]);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return numbers;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<Color> ColorOf(const Value& value) {
  Color color;
  if (const auto* text = value.get_if<std::string>()) {
    if (text->size() != 7 || text->front() != '#') return std::nullopt;
    for (std::size_t c = 0; c < 3; ++c) {
      const int high = HexDigit((*text)[1 + 2 * c]);
      const int low = HexDigit((*text)[2 + 2 * c]);
      if (high < 0 || low < 0) return std::nullopt;
      color[c] = static_cast<std::uint8_t>(16 * high + low);
    }
    return color;
  }
  const auto* list = value.get_if<Value::List>();
  if (list == nullptr || list->size() != 3) return std::nullopt;
  for (std::size_t c = 0; c < 3; ++c) {
    const std::optional<std::int64_t> part = WholeOf((*list)[c]);
    if (!part || *part < 0 || *part > 255) return std::nullopt;
    color[c] = static_cast<std::uint8_t>(*part);
  }
  return color;
}

constexpr const char* kBoxRemedy = "give four numbers (left, top, right, bottom) in pixels";
constexpr const char* kColorRemedy =
    "give [red, green, blue] with whole numbers from 0 to 255, or '#rrggbb'";

const char* NameOf(Filter filter) {
  switch (filter) {
    case Filter::kNearest:
      return "nearest";
    case Filter::kBox:
      return "box";
    case Filter::kBilinear:
      return "bilinear";
    case Filter::kBicubic:
      return "bicubic";
    case Filter::kLanczos:
      return "lanczos";
  }
  return "";
}

}  // namespace

Arguments::Arguments(const char* op, const Value& call)
    : op_(op), entries_(call.get_if<Value::Dict>()) {
  if (entries_ == nullptr) {
    Fail(Status::InvalidArgument(std::string(op) + " was called with " + Describe(call) +
                                 "; give its arguments by name"));
  }
}

const Value* Arguments::Find(const char* name) const {
  if (entries_ == nullptr) return nullptr;
  const auto entry = std::find_if(entries_->begin(), entries_->end(),
                                  [&](const auto& each) { return each.first == name; });
  if (entry == entries_->end() || entry->second.get_if<std::monostate>() != nullptr) return nullptr;
  return &entry->second;
}

const Value* Arguments::Take(const char* name) {
  known_.push_back(name);
  return Find(name);
}

void Arguments::Fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void Arguments::Fail(const char* name, const Value& value, const std::string& remedy) {
  Fail(Status::InvalidArgument(std::string(op_) + ": " + name + " is " + Describe(value) + "; " +
                               remedy));
}

Image::Ref Arguments::GetImage() {
  const Value* value = Take("image");
  if (value == nullptr) {
    Fail(Status::InvalidArgument(std::string(op_) + ": image is missing; give an Image"));
  } else if (const auto* object = value->get_if<ObjectRef>()) {
    if (auto image = std::dynamic_pointer_cast<const Image>(*object)) return image;
  }
  if (value != nullptr)
    Fail("image", *value, "give an Image, which Engine.image makes of a path, bytes or an array");
  static const Image::Ref kBlack = [] {
    Pixels pixel = std::move(Pixels::Allocate({1, 1})).value();
    std::fill_n(pixel.data(), pixel.bytes(), std::uint8_t{0});
    return Image::Create(std::move(pixel));
  }();
  return kBlack;
}

bool Arguments::Bool(const char* name, bool fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  if (const auto* flag = value->get_if<bool>()) return *flag;
  Fail(name, *value, "give True or False");
  return fallback;
}

std::int64_t Arguments::Int(const char* name, std::int64_t fallback, std::int64_t low,
                            std::int64_t high) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  const std::optional<std::int64_t> whole = WholeOf(*value);
  if (whole && *whole >= low && *whole <= high) return *whole;
  Fail(name, *value,
       "give a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return fallback;
}

double Arguments::Number(const char* name, double fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  if (const std::optional<double> number = NumberOf(*value); number && std::isfinite(*number))
    return *number;
  Fail(name, *value, "give a finite number");
  return fallback;
}

double Arguments::Number(const char* name) {
  if (!Has(name))
    Fail(Status::InvalidArgument(std::string(op_) + ": " + name + " is missing; give a number"));
  return Number(name, 0.0);
}

std::size_t Arguments::Choice(const char* name, std::initializer_list<const char*> choices,
                              std::size_t fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  std::string remedy = "use one of";
  std::size_t index = 0;
  for (const char* choice : choices) {
    const auto* text = value->get_if<std::string>();
    if (text != nullptr && *text == choice) return index;
    remedy += std::string(index == 0 ? " '" : ", '") + choice + "'";
    ++index;
  }
  Fail(name, *value, remedy);
  return fallback;
}

Filter Arguments::GetFilter(std::initializer_list<Filter> choices, Filter fallback) {
  const Value* value = Take("filter");
  if (value == nullptr) return fallback;
  std::string remedy = "use one of";
  for (const Filter choice : choices) {
    const auto* text = value->get_if<std::string>();
    if (text != nullptr && *text == NameOf(choice)) return choice;
    remedy += std::string(choice == *choices.begin() ? " '" : ", '") + NameOf(choice) + "'";
  }
  Fail("filter", *value, remedy);
  return fallback;
}

Size Arguments::GetSize(const char* name, Size fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  const auto* list = value->get_if<Value::List>();
  const std::optional<std::int64_t> width =
      list && list->size() == 2 ? WholeOf((*list)[0]) : std::nullopt;
  const std::optional<std::int64_t> height =
      list && list->size() == 2 ? WholeOf((*list)[1]) : std::nullopt;
  if (!width || !height || *width < 1 || *height < 1 || *width > kMaxSide || *height > kMaxSide) {
    Fail(name, *value,
         "give two whole numbers (width, height) from 1 to " + std::to_string(kMaxSide));
    return fallback;
  }
  const Size size = {static_cast<int>(*width), static_cast<int>(*height)};
  Fail(CheckSize((std::string(op_) + ": " + name).c_str(), size.width, size.height));
  return size;
}

std::array<double, 4> Arguments::FourNumbers(const char* name,
                                             const std::array<double, 4>& fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  if (const auto numbers = NumbersOf<4>(*value)) return *numbers;
  Fail(name, *value, kBoxRemedy);
  return fallback;
}

std::array<double, 3> Arguments::ThreeNumbers(const char* name,
                                              const std::array<double, 3>& fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  if (const auto numbers = NumbersOf<3>(*value)) return *numbers;
  Fail(name, *value, "give three numbers, for red, green and blue");
  return fallback;
}

Box Arguments::GetBox(const char* name, Size image) {
  const Box whole = {0, 0, image.width, image.height};
  if (!Has(name)) {
    Take(name);
    return whole;
  }
  const std::array<double, 4> edges = FourNumbers(name, {0, 0, 1, 1});
  const Result<Box> box = ResolveBox(edges, image);
  if (box.ok()) return box.value();
  Fail(Status::InvalidArgument(std::string(op_) + ": " + box.status().message()));
  return whole;
}

std::vector<Box> Arguments::Boxes(const char* name, Size image) {
  const Value* value = Take(name);
  if (value == nullptr) {
    Fail(Status::InvalidArgument(std::string(op_) + ": " + name +
                                 " is missing; give a list of boxes (left, top, right, bottom)"));
    return {};
  }
  const auto* list = value->get_if<Value::List>();
  if (list == nullptr) {
    Fail(name, *value, "give a list of boxes (left, top, right, bottom)");
    return {};
  }
  const bool single = !list->empty() && list->front().get_if<Value::List>() == nullptr;
  const Value::List one = single ? Value::List{*value} : Value::List{};
  std::vector<Box> boxes;
  for (const Value& item : single ? one : *list) {
    const auto edges = NumbersOf<4>(item);
    if (!edges) {
      Fail(name, *value, "each box needs four numbers (left, top, right, bottom) in pixels");
      return {};
    }
    const Result<Box> box = ResolveBox(*edges, image);
    if (!box.ok()) {
      Fail(Status::InvalidArgument(std::string(op_) + ": " + name + ": " + box.status().message()));
      return {};
    }
    boxes.push_back(box.value());
  }
  return boxes;
}

Color Arguments::GetColor(const char* name, const Color& fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return fallback;
  if (const std::optional<Color> color = ColorOf(*value)) return *color;
  Fail(name, *value, kColorRemedy);
  return fallback;
}

std::vector<Color> Arguments::Colors(const char* name, std::size_t count, const Color& fallback) {
  const Value* value = Take(name);
  if (value == nullptr) return std::vector<Color>(count, fallback);
  if (const std::optional<Color> color = ColorOf(*value)) return std::vector<Color>(count, *color);
  const auto* list = value->get_if<Value::List>();
  std::vector<Color> colors;
  if (list != nullptr && list->size() == count) {
    for (const Value& item : *list) {
      if (const std::optional<Color> color = ColorOf(item)) colors.push_back(*color);
    }
  }
  if (colors.size() == count) return colors;
  Fail(name, *value,
       std::string(kColorRemedy) + "; one for all boxes or a list of " + std::to_string(count));
  return std::vector<Color>(count, fallback);
}

Status Arguments::Finish() {
  if (!status_.ok() || entries_ == nullptr) return status_;
  for (const auto& [name, value] : *entries_) {
    if (std::any_of(known_.begin(), known_.end(),
                    [&given = name](const char* known) { return given == known; }))
      continue;
    std::string names;
    for (const char* known : known_) names += (names.empty() ? "" : ", ") + std::string(known);
    return Status::InvalidArgument(std::string(op_) + " has no argument " + Describe(Value{name}) +
                                   "; it takes " + names);
  }
  return {};
}

}  // namespace vista::ops
