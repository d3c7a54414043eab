#include "loop_calls.h"

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checked.h"
#include "foreign.h"
#include "loop_future.h"

namespace py = pybind11;

namespace vista::python {
namespace {

struct Names {
  py::object of = Interned("of");
  py::object submit_when_open = Interned("_submit_when_open");
  py::object image = Interned("image");
  py::object image_type = py::module_::import("vista_fast._core").attr("Image");
  py::object zero = py::int_(0);
  py::object loop_holder = Interned("__asyncio_running_event_loop__");
  // In the order of GivenOptions.
  std::array<py::object, 6> options = {Interned("flow"),          Interned("priority"),
                                       Interned("soft_deadline"), Interned("deadline"),
                                       Interned("room_timeout"),  Interned("nested")};
  py::object get_running_loop = py::module_::import("asyncio").attr("get_running_loop");
};

const Names& TheNames() {
  static const auto* names = new Names;  // as long as the process: the interpreter may be gone
  return *names;
}

bool Equal(PyObject* text, PyObject* other) {
  return text == other || (PyUnicode_GET_LENGTH(text) == PyUnicode_GET_LENGTH(other) &&
                           PyUnicode_Compare(text, other) == 0);
}

// The arguments of acall, as CPython hands them over.
struct Given {
  PyObject* op = nullptr;
  PyObject* image = Py_None;
  std::array<PyObject*, 6> options = {Py_None, nullptr, Py_None, Py_None, Py_None, Py_False};
  py::dict arguments;
};

// Where in Given::options a keyword goes; its size for an argument of the Op.
std::size_t OptionOf(PyObject* keyword) {
  const auto& options = TheNames().options;
  std::size_t i = 0;
  while (i < options.size() && !Equal(keyword, options[i].ptr())) ++i;
  return i;
}

Given ReadCall(PyObject* const* values, Py_ssize_t positional, PyObject* keywords) {
  if (positional < 1 || positional > 2 || PyUnicode_Check(values[0]) == 0) {
    throw py::type_error(
        "acall takes the name of an Op and at most an image by position, and all else by name");
  }
  Given given;
  given.op = values[0];
  if (positional == 2) given.image = values[1];
  const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const keyword = PyTuple_GET_ITEM(keywords, i);
    PyObject* const value = values[positional + i];
    if (const std::size_t option = OptionOf(keyword); option < given.options.size()) {
      given.options[option] = value;
    } else if (PyDict_SetItem(given.arguments.ptr(), keyword, value) != 0) {
      throw py::error_already_set();
    }
  }
  return given;
}

CallOptions OptionsOf(const Given& given) {
  const auto& [flow, priority, soft_deadline, deadline, room_timeout, nested] = given.options;
  const py::handle default_priority = TheNames().zero;
  return ReadOptions({flow, priority == nullptr ? default_priority : py::handle(priority),
                      soft_deadline, deadline, room_timeout, nested});
}

std::string TextOf(PyObject* text) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text, &size);
  if (data == nullptr) throw py::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

// The engine that called last, so that one that calls often is not looked up by the binding.
PyObject* latest_self = nullptr;
LoopCaller* latest_caller = nullptr;

LoopCaller& CallerOf(py::handle self) {
  if (latest_self != self.ptr()) {
    latest_caller = &self.cast<LoopCaller&>();
    latest_self = self.ptr();
  }
  return *latest_caller;
}

// False for an image that is no open one, or is given by name as well.
bool AddOpenImage(const Given& given) {
  const py::object& name = TheNames().image;
  if (Py_TYPE(given.image) != reinterpret_cast<PyTypeObject*>(TheNames().image_type.ptr()) ||
      PyDict_Contains(given.arguments.ptr(), name.ptr()) != 0)
    return false;
  if (PyDict_SetItem(given.arguments.ptr(), name.ptr(), given.image) != 0)
    throw py::error_already_set();
  return true;
}

// Whether Python has taken the call over, to submit it once its image is open; else the image is
// among the arguments.
bool SubmitsWhenOpen(py::handle self, const py::object& future, const Given& given) {
  const auto& [flow, priority, soft_deadline, deadline, room_timeout, nested] = given.options;
  const py::handle given_priority(priority == nullptr ? TheNames().zero.ptr() : priority);
  const auto taken = self.attr(TheNames().submit_when_open)(
      future, py::handle(given.image), py::handle(given.op), given.arguments, py::handle(flow),
      given_priority, py::handle(soft_deadline), py::handle(deadline), py::handle(room_timeout),
      py::handle(nested));
  return taken.cast<bool>();
}

py::object Submit(py::handle self, const Given& given) {
  const Names& names = TheNames();
  LoopCaller& caller = CallerOf(self);
  const py::object loop = caller.RunningLoop();
  py::object future = NewLoopFuture(loop);
  if (given.image != Py_None && !AddOpenImage(given)) {
    SetCall(future, caller.core_object, names.zero);
    if (SubmitsWhenOpen(self, future, given)) return future;
  }
  const sched::RequestId request =
      caller.core->Submit(caller.Find(given.op), given.arguments, OptionsOf(given),
                          caller.QueueOf(loop), future, /*wait_for_room=*/false);
  SetCall(future, caller.core_object, py::int_(request));
  return future;
}

// The binding's own dispatch costs as much as the whole submission, so this is a plain method of
// CPython, with its translation of exceptions written out.
PyObject* Acall(PyObject* self, PyObject* const* values, Py_ssize_t positional,
                PyObject* keywords) {
  try {
    return Submit(self, ReadCall(values, positional, keywords)).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyMethodDef acall_method = {
    "acall", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Acall)),
    METH_FASTCALL | METH_KEYWORDS,
    "acall($self, op, image=None, /, *, flow=None, priority=0, soft_deadline=None, deadline=None, "
    "room_timeout=None, nested=False, **arguments)\n--\n\n"
    "Submits a call and gives a future of the running loop. Never blocks: while the engine is full "
    "the call waits\nfor room, not the loop."};

}  // namespace

LoopCaller::LoopCaller(std::shared_ptr<EngineCore> engine_core, py::object loop_queues)
    : core(std::move(engine_core)), core_object(py::cast(core)), queues_(std::move(loop_queues)) {}

LoopCaller::~LoopCaller() {
  if (latest_caller == this) latest_self = nullptr;
}

const EngineCore::Op& LoopCaller::Find(py::handle name) {
  if (latest_op_ == nullptr || !latest_name_.is(name)) {
    latest_op_ = &core->Find(TextOf(name.ptr()));
    latest_name_ = py::reinterpret_borrow<py::object>(name);
  }
  return *latest_op_;
}

py::object LoopCaller::RunningLoop() {
#if PY_VERSION_HEX < 0x030C0000
  // Up to Python 3.11 asking for the loop costs a system call each time. The thread's dict has
  // another holder whenever another loop runs, so that the same holder means the same loop.
  PyObject* const state = PyThreadState_GetDict();
  PyObject* const holder =
      state == nullptr ? nullptr : PyDict_GetItem(state, TheNames().loop_holder.ptr());
  if (holder != nullptr && holder == loop_holder_.ptr()) {
    PyObject* const loop = PyWeakref_GetObject(running_loop_.ptr());
    if (loop != Py_None) return py::reinterpret_borrow<py::object>(loop);
  }
#endif
  py::object loop = Checked(PyObject_CallNoArgs(TheNames().get_running_loop.ptr()));
#if PY_VERSION_HEX < 0x030C0000
  if (holder != nullptr) {
    loop_holder_ = py::reinterpret_borrow<py::object>(holder);
    running_loop_ = py::weakref(loop);
  }
#endif
  return loop;
}

const std::shared_ptr<CompletionQueue>& LoopCaller::QueueOf(const py::object& loop) {
  if (!latest_loop_ || PyWeakref_GetObject(latest_loop_.ptr()) != loop.ptr()) {
    const py::object queue =
        Checked(PyObject_CallMethodOneArg(queues_.ptr(), TheNames().of.ptr(), loop.ptr()));
    latest_queue_ = queue.cast<std::shared_ptr<CompletionQueue>>();
    latest_loop_ = py::weakref(loop);
  }
  return latest_queue_;
}

void SettleOnLoop(CompletionQueue& queue) {
  std::vector<sched::Completion> taken = queue.Take();
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const auto future =
        py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(taken[i].token));
    try {
      SettleLoopFuture(future, See(taken[i]));
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_Exception)) {
        queue.PutBack(std::span(taken).subspan(i + 1));  // for when the loop is run again
        throw;
      }
      // Whatever became of one future, the others must be settled.
      error.discard_as_unraisable("SettleOnLoop");
    }
  }
  ReleaseNow();
}

void BindLoopCaller(py::module_& m) {
  py::class_<LoopCaller> caller(m, "LoopCaller");
  caller.def(py::init<std::shared_ptr<EngineCore>, py::object>());
  auto* const type = reinterpret_cast<PyTypeObject*>(caller.ptr());
  caller.attr("acall") = Checked(PyDescr_NewMethod(type, &acall_method));
  m.def("adopt_loop_future", &AdoptLoopFuture);
}

}  // namespace vista::python
