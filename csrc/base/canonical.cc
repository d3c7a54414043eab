#include "base/canonical.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace vista {

void CanonicalWriter::Word(std::uint64_t value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out_->append(raw, sizeof value);
}

void CanonicalWriter::Sized(char tag, std::string_view data) {
  out_->push_back(tag);
  Word(data.size());
  out_->append(data);
}

void CanonicalWriter::Int(std::int64_t value) {
  out_->push_back('I');
  Word(static_cast<std::uint64_t>(value));
}

Status CanonicalWriter::Double(double value) {
  if (std::isnan(value)) {
    return Status::InvalidArgument(
        "a number is NaN, which equals nothing; pass a finite number or None");
  }
  out_->push_back('D');
  Word(std::bit_cast<std::uint64_t>(value == 0.0 ? 0.0 : value));
  return {};
}

void CanonicalWriter::String(std::string_view text) { Sized('S', text); }

void CanonicalWriter::Bytes(std::string_view data) { Sized('B', data); }

Status CanonicalWriter::Identity(const Object& object) {
  out_->push_back('O');
  const std::size_t length_at = out_->size();
  Word(0);
  const std::size_t begin = out_->size();
  if (Status status = object.AppendIdentity(out_); !status.ok()) {
    return status;
  }
  const std::uint64_t length = out_->size() - begin;
  std::memcpy(out_->data() + length_at, &length, sizeof length);
  return {};
}

void CanonicalWriter::BeginList(std::size_t count) {
  out_->push_back('L');
  Word(count);
}

void CanonicalWriter::BeginDict(std::size_t count) {
  out_->push_back('M');
  Word(count);
}

void CanonicalWriter::Key(std::string_view name) {
  Word(name.size());
  out_->append(name);
}

}  // namespace vista
