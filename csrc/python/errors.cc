#include "errors.h"

#include <exception>
#include <memory>

#include "foreign.h"

namespace py = pybind11;

namespace vista::python {
namespace {

const char* ErrorClassName(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
      return "InvalidArgumentError";
    case StatusCode::kNotFound:
      return "NotFoundError";
    case StatusCode::kFailedPrecondition:
      return "EngineClosedError";
    case StatusCode::kResourceExhausted:
      return "ResourceExhaustedError";
    case StatusCode::kDeadlineExceeded:
      return "DeadlineExceededError";
    case StatusCode::kCancelled:
    case StatusCode::kAborted:
      return "AbortedError";
    case StatusCode::kInternal:
    case StatusCode::kOk:
      return "OpError";
  }
  return "OpError";
}

py::object ErrorClass(const char* name) {
  return py::module_::import("vista_fast.errors").attr(name);
}

}  // namespace

py::object ToException(const Status& status) {
  const auto* cause = static_cast<const Foreign*>(status.cause());
  if (cause != nullptr && py::isinstance(cause->object(), ErrorClass("VistaError"))) {
    return py::reinterpret_borrow<py::object>(cause->object());
  }
  py::object error = ErrorClass(ErrorClassName(status.code()))(status.message());
  if (cause != nullptr) error.attr("__cause__") = py::handle(cause->object());
  return error;
}

void Raise(const Status& status) {
  const py::object error = ToException(status);
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

Status FromException(const std::string& op, py::handle exception) {
  const auto type = py::type::handle_of(exception).attr("__name__").cast<std::string>();
  std::string text;
  try {
    text = py::str(exception).cast<std::string>();
  } catch (const std::exception&) {
    text = "(its message can't be shown)";
  }
  return Status::Internal("Op '" + op + "' failed: " + type + ": " + text)
      .WithCause(std::make_shared<Foreign>(exception.inc_ref().ptr(), 0, false, false));
}

}  // namespace vista::python
