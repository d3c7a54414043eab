#include "base/status.h"

#include <memory>
#include <utility>

namespace vista {

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "ok";
    case StatusCode::kInvalidArgument:
      return "invalid_argument";
    case StatusCode::kNotFound:
      return "not_found";
    case StatusCode::kFailedPrecondition:
      return "failed_precondition";
    case StatusCode::kResourceExhausted:
      return "resource_exhausted";
    case StatusCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case StatusCode::kCancelled:
      return "cancelled";
    case StatusCode::kAborted:
      return "aborted";
    case StatusCode::kInternal:
      return "internal";
  }
  return "unknown";
}

const std::string& Status::message() const {
  static const std::string none;
  return ok() ? none : failure_->message;
}

Status Status::WithCause(std::shared_ptr<const void> cause) const {
  Status status;
  status.failure_ = std::make_shared<const Failure>(Failure{code(), message(), std::move(cause)});
  return status;
}

}  // namespace vista
