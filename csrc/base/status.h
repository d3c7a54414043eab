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

// One pointer's worth of cost where all went well, as nearly everything does.
class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  // `code` is not kOk.
  Status(StatusCode code, std::string message)
      : failure_(std::make_shared<const Failure>(Failure{code, std::move(message), nullptr})) {}

  [[nodiscard]] bool ok() const { return failure_ == nullptr; }
  [[nodiscard]] StatusCode code() const { return ok() ? StatusCode::kOk : failure_->code; }
  // Empty when ok.
  [[nodiscard]] const std::string& message() const;

  // What the layer above attached, opaque here: the binding keeps the original Python exception in
  // it. Null when there is none.
  [[nodiscard]] const void* cause() const { return ok() ? nullptr : failure_->cause.get(); }
  // The same failure with another cause; it must be one.
  [[nodiscard]] Status WithCause(std::shared_ptr<const void> cause) const;

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
  struct Failure {
    StatusCode code;
    std::string message;
    std::shared_ptr<const void> cause;
  };

  std::shared_ptr<const Failure> failure_;
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
