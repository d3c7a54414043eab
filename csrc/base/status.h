// Status and Result: how the core reports failure. Nothing in csrc/ throws across a function
// boundary; the binding in python/ turns a Status into a typed exception.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace vista {

enum class StatusCode : std::uint8_t {
  kOk,
  kInvalidArgument,  // the caller's argument is wrong; the message says which, its value, and what
                     // to do
  kNotFound,         // an op, an image hash or a file that is not there
  kFailedPrecondition,  // the object is closed, forked or otherwise not usable now
  kResourceExhausted,   // a limit (pixels, bytes, queue) would be passed
  kDeadlineExceeded,    // a hard deadline passed before completion
  kCancelled,           // its caller asked for that
  kAborted,             // infrastructure failed: a lost puller, a closing engine
  kInternal,            // an op failed or broke its contract
};

// The code's name in lower case words joined by '_', as stats and error messages show it
// ("invalid_argument").
const char* StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] bool ok() const { return code_ == StatusCode::kOk; }
  [[nodiscard]] StatusCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

  // What the layer above attached, opaque here: the binding keeps the original Python exception in
  // it.
  [[nodiscard]] const std::shared_ptr<const void>& cause() const { return cause_; }
  Status WithCause(std::shared_ptr<const void> cause) && {
    cause_ = std::move(cause);
    return std::move(*this);
  }

  static Status InvalidArgument(std::string m) {
    return {StatusCode::kInvalidArgument, std::move(m)};
  }
  static Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
  static Status FailedPrecondition(std::string m) {
    return {StatusCode::kFailedPrecondition, std::move(m)};
  }
  static Status ResourceExhausted(std::string m) {
    return {StatusCode::kResourceExhausted, std::move(m)};
  }
  static Status DeadlineExceeded(std::string m) {
    return {StatusCode::kDeadlineExceeded, std::move(m)};
  }
  static Status Cancelled(std::string m) { return {StatusCode::kCancelled, std::move(m)}; }
  static Status Aborted(std::string m) { return {StatusCode::kAborted, std::move(m)}; }
  static Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::shared_ptr<const void> cause_;
};

// A T or the Status that says why there is none. Never holds an ok Status without a value.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status)
      : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT: implicit by design

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  [[nodiscard]] Status status() const { return ok() ? Status() : std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace vista
