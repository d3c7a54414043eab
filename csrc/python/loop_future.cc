#include "loop_future.h"

#include <structmember.h>

#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "checked.h"

namespace py = pybind11;

namespace vista::python {
namespace {

// A member of __slots__.
class Slot {
 public:
  Slot(const py::object& type, const char* name) {
    const py::object member = type.attr("__dict__")[name];
    if (Py_TYPE(member.ptr()) != &PyMemberDescr_Type)
      throw py::type_error(std::string(name) + " must be a slot of LoopFuture");
    offset_ = reinterpret_cast<PyMemberDescrObject*>(member.ptr())->d_member->offset;
  }

  // Null while it is unset.
  [[nodiscard]] PyObject*& in(PyObject* object) const {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset_);
  }
  void Set(PyObject* object, py::object value) const {
    const auto before =
        py::reinterpret_steal<py::object>(std::exchange(in(object), value.release().ptr()));
  }
  [[nodiscard]] py::object Take(PyObject* object) const {
    return py::reinterpret_steal<py::object>(std::exchange(in(object), nullptr));
  }

 private:
  Py_ssize_t offset_;
};

struct Adopted {
  explicit Adopted(py::object loop_future) : type(std::move(loop_future)) {}

  py::object type;
  Slot outcome{type, "outcome"};
  Slot core{type, "_core"};
  Slot request{type, "_request"};
  // Unset: no callback so far. None: from now on asyncio's own class keeps them.
  Slot callback{type, "_callback"};
  Slot context{type, "_context"};

  py::object base = py::module_::import("asyncio").attr("Future");
  py::object set_result = base.attr("set_result");
  py::object set_exception = base.attr("set_exception");
  py::object add_done_callback = base.attr("add_done_callback");
  py::object invalid_state = py::module_::import("asyncio").attr("InvalidStateError");
  py::object loop_keyword = Interned("loop");
  py::dict arguments;
  py::tuple no_values;
  py::object context_keyword = Interned("context");
};

const Adopted* adopted = nullptr;  // as long as the process: the interpreter may be gone

bool IsTheContext(PyObject* keywords) {
  return PyTuple_GET_SIZE(keywords) == 1 &&
         PyUnicode_Compare(PyTuple_GET_ITEM(keywords, 0), adopted->context_keyword.ptr()) == 0;
}

// The first callback of a future that is not done, in the common forms of the call, is kept here;
// all else is asyncio's.
PyObject* AddDoneCallback(PyObject* self, PyObject* const* values, Py_ssize_t positional,
                          PyObject* keywords) {
  PyObject* context = nullptr;
  const bool is_plain = positional == 1 && (keywords == nullptr || IsTheContext(keywords));
  if (is_plain && keywords != nullptr && values[1] != Py_None) context = values[1];
  if (!is_plain || adopted->callback.in(self) != nullptr) {
    const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    std::vector<PyObject*> all = {self};
    all.insert(all.end(), values, values + positional + named);
    return PyObject_Vectorcall(adopted->add_done_callback.ptr(), all.data(),
                               static_cast<std::size_t>(positional) + 1, keywords);
  }
  if (context != nullptr) {
    Py_INCREF(context);
  } else if ((context = PyContext_CopyCurrent()) == nullptr) {
    return nullptr;
  }
  adopted->context.in(self) = context;
  Py_INCREF(values[0]);
  adopted->callback.in(self) = values[0];
  Py_RETURN_NONE;
}

PyObject* AddDoneCallbackOrRaise(PyObject* self, PyObject* const* values, Py_ssize_t positional,
                                 PyObject* keywords) {
  try {
    return AddDoneCallback(self, values, positional, keywords);
  } catch (py::error_already_set& error) {
    error.restore();
  }
  return nullptr;
}

PyMethodDef add_done_callback_method = {
    "add_done_callback",
    reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&AddDoneCallbackOrRaise)),
    METH_FASTCALL | METH_KEYWORDS,
    "add_done_callback($self, fn, /, *, context=None)\n--\n\n"
    "As asyncio.Future's; the first one is run as soon as the call comes back."};

// Tells the loop what a callback raised, as it does of those that it runs itself.
void Report(const py::object& future, const py::object& callback,
            const py::error_already_set& error) {
  py::dict what;
  what["message"] = "Exception in callback " + py::repr(callback).cast<std::string>();
  what["exception"] = error.value();
  what["future"] = future;
  future.attr("get_loop")().attr("call_exception_handler")(what);
}

void RunCallback(const py::object& future, const py::object& callback, const py::object& context) {
  if (PyContext_Enter(context.ptr()) != 0) throw py::error_already_set();
  const auto done =
      py::reinterpret_steal<py::object>(PyObject_CallOneArg(callback.ptr(), future.ptr()));
  if (done) {
    if (PyContext_Exit(context.ptr()) != 0) throw py::error_already_set();
    return;
  }
  const py::error_already_set error;
  if (PyContext_Exit(context.ptr()) != 0) throw py::error_already_set();
  if (!error.matches(PyExc_Exception)) throw error;
  Report(future, callback, error);
}

}  // namespace

void AdoptLoopFuture(const py::object& type) {
  adopted = new Adopted(type);
  type.attr("add_done_callback") = Checked(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &add_done_callback_method));
}

py::object NewLoopFuture(const py::object& loop) {
  // What calling the class does, without new arguments each time.
  PyObject* const arguments = adopted->arguments.ptr();
  if (PyDict_SetItem(arguments, adopted->loop_keyword.ptr(), loop.ptr()) != 0)
    throw py::error_already_set();
  auto* const type = reinterpret_cast<PyTypeObject*>(adopted->type.ptr());
  py::object future = Checked(type->tp_new(type, adopted->no_values.ptr(), nullptr));
  const int made = type->tp_init(future.ptr(), adopted->no_values.ptr(), arguments);
  if (made != 0) throw py::error_already_set();
  // So that it keeps no loop alive.
  PyDict_SetItem(arguments, adopted->loop_keyword.ptr(), Py_None);
  adopted->outcome.Set(future.ptr(), py::none());
  return future;
}

void SetCall(const py::object& future, const py::object& core, const py::object& request) {
  adopted->core.Set(future.ptr(), core);
  adopted->request.Set(future.ptr(), request);
}

void SettleLoopFuture(const py::object& future, const Seen& seen) {
  adopted->outcome.Set(future.ptr(), py::reinterpret_borrow<py::object>(seen.outcome));
  const py::object callback = adopted->callback.Take(future.ptr());
  const py::object context = adopted->context.Take(future.ptr());
  adopted->callback.Set(future.ptr(), py::none());
  const bool failed = !seen.error.is_none();
  PyObject* const values[] = {future.ptr(), (failed ? seen.error : seen.value).ptr()};
  const auto done = py::reinterpret_steal<py::object>(PyObject_Vectorcall(
      (failed ? adopted->set_exception : adopted->set_result).ptr(), values, 2, nullptr));
  if (!done) {
    const py::error_already_set error;
    if (error.matches(adopted->invalid_state)) return;
    throw error;
  }
  if (callback && !callback.is_none()) RunCallback(future, callback, context);
}

}  // namespace vista::python
