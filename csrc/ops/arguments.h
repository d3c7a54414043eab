// Reading a call's arguments: every getter takes any Value, and the first one that can't be used is
// remembered with the argument's name, its value and what to give instead.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "image/box.h"
#include "image/image.h"
#include "image/resize.h"
#include "image/rotate.h"

namespace vista::ops {

// A None counts as not given. After a failure the getters return something harmless; read status()
// before use.
class Arguments {
 public:
  // `call` is the Dict of one call of `op` and outlives this.
  Arguments(const char* op, const Value& call);

  // The Image that the Op works on; never null.
  Image::Ref GetImage();
  // Another object than an Image; null after a failure, whose message ends with `remedy`.
  template <typename T>
  std::shared_ptr<const T> GetObject(const char* name, const char* remedy) {
    static const Value kNone;
    const Value* const value = Take(name);
    if (value != nullptr) {
      if (const auto* object = value->get_if<ObjectRef>()) {
        if (auto wanted = std::dynamic_pointer_cast<const T>(*object)) return wanted;
      }
    }
    Fail(name, value == nullptr ? kNone : *value, remedy);
    return nullptr;
  }
  // Whether an argument is given.
  [[nodiscard]] bool Has(const char* name) const { return Find(name) != nullptr; }

  bool Bool(const char* name, bool fallback);
  std::int64_t Int(const char* name, std::int64_t fallback, std::int64_t low, std::int64_t high);
  double Number(const char* name, double fallback);
  // A required number.
  double Number(const char* name);
  // One of `choices`, as its index.
  std::size_t Choice(const char* name, std::initializer_list<const char*> choices,
                     std::size_t fallback);
  // By its name; one of `choices`.
  Filter GetFilter(std::initializer_list<Filter> choices, Filter fallback);
  // [width, height].
  Size GetSize(const char* name, Size fallback);
  // Four numbers, as they are.
  std::array<double, 4> FourNumbers(const char* name, const std::array<double, 4>& fallback);
  // By the box rule; the whole image when not given.
  Box GetBox(const char* name, Size image);
  // One box or a list of boxes.
  std::vector<Box> Boxes(const char* name, Size image);
  // [red, green, blue] or "#rrggbb".
  Color GetColor(const char* name, const Color& fallback);
  // One colour for all, or as many colours as asked for.
  std::vector<Color> Colors(const char* name, std::size_t count, const Color& fallback);
  std::array<double, 3> ThreeNumbers(const char* name, const std::array<double, 3>& fallback);

  // The first failure; when there is none, whether arguments were given that no getter asked for.
  [[nodiscard]] Status Finish();

 private:
  const Value* Find(const char* name) const;
  // The argument, noting that the Op knows it; null when it is not given.
  const Value* Take(const char* name);
  void Fail(const char* name, const Value& value, const std::string& remedy);
  void Fail(Status status);

  const char* op_;
  const Value::Dict* entries_ = nullptr;
  std::vector<const char*> known_;
  Status status_;
};

}  // namespace vista::ops
