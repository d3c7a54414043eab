#include "convert.h"

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <typeinfo>
#include <utility>
#include <vector>

#include "base/canonical.h"
#include "base/tensor.h"
#include "device_arrays.h"
#include "foreign.h"

namespace py = pybind11;

namespace vista::python {
namespace {

std::string TypeName(py::handle object) {
  return py::type::handle_of(object).attr("__name__").cast<std::string>();
}

Status TooDeep() {
  return Status::InvalidArgument("arguments are nested deeper than " +
                                 std::to_string(kMaxValueDepth) + " levels; flatten them");
}

// A str may hold lone surrogates, which are no text.
Result<std::string_view> Text(py::handle text) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (data == nullptr) {
    PyErr_Clear();
    return Status::InvalidArgument(
        "a str argument holds a lone surrogate, which is no text; pass valid Unicode");
  }
  return std::string_view(data, static_cast<std::size_t>(size));
}

Result<std::int64_t> Integer(py::handle number) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0) {
    return Status::InvalidArgument("an int argument does not fit into 64 bits; pass it as a str");
  }
  return static_cast<std::int64_t>(value);
}

std::optional<DType> DTypeOf(const py::dtype& dtype) {
  if (dtype.byteorder() == '>') return std::nullopt;
  const auto size = dtype.itemsize();
  switch (dtype.kind()) {
    case 'b':
      return DType::kBool;
    case 'u':
      return size == 1   ? DType::kUint8
             : size == 2 ? DType::kUint16
             : size == 4 ? DType::kUint32
                         : DType::kUint64;
    case 'i':
      return size == 1   ? DType::kInt8
             : size == 2 ? DType::kInt16
             : size == 4 ? DType::kInt32
                         : DType::kInt64;
    case 'f':
      if (size > 8) return std::nullopt;
      return size == 2 ? DType::kFloat16 : size == 4 ? DType::kFloat32 : DType::kFloat64;
    default:
      return std::nullopt;
  }
}

bool IsArray(py::handle object) { return py::isinstance<py::array>(object); }

// No subclass of ndarray, which may say more than its numbers, as a masked array does.
bool IsPlainArray(py::handle object) {
  return IsArray(object) && Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_;
}

// Memory of an array in C order, kept alive by a reference that this thread's caller holds.
struct ArrayView {
  py::array array;
  DType dtype;
  std::vector<std::int64_t> shape;
};

Result<ArrayView> ViewArray(py::handle object) {
  py::array array = py::array::ensure(object, py::array::c_style);
  if (!array) throw py::error_already_set();
  const std::optional<DType> dtype = DTypeOf(array.dtype());
  if (!dtype) {
    return Status::FailedPrecondition(
        "an ndarray of dtype " + py::str(array.dtype()).cast<std::string>() +
        " can't be an argument here; pass numbers or bool in native byte order");
  }
  return ArrayView{array, *dtype, {array.shape(), array.shape() + array.ndim()}};
}

bool IsNumpyScalar(py::handle object) {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> generic;
  const py::object& type =
      generic
          .call_once_and_store_result([] { return py::module_::import("numpy").attr("generic"); })
          .get_stored();
  return py::isinstance(object, type);
}

// The number that Python has for a numpy scalar; null for other things, and where there is none: a
// longdouble would give itself, a time its count of units.
py::object PlainNumber(py::handle object) {
  if (!IsNumpyScalar(object)) return {};
  const auto kind = object.attr("dtype").attr("kind").cast<std::string>();
  if (kind != "b" && kind != "i" && kind != "u" && kind != "f") return {};
  py::object item = object.attr("item")();
  return IsNumpyScalar(item) ? py::object() : item;
}

Result<Value> ToValueAt(py::handle object, int depth);

Result<Value> ListToValue(py::handle sequence, int depth) {
  Value::List list;
  list.reserve(py::len(sequence));
  for (const py::handle item : py::reinterpret_borrow<py::sequence>(sequence)) {
    Result<Value> value = ToValueAt(item, depth + 1);
    if (!value.ok()) return value.status();
    list.push_back(std::move(value).value());
  }
  return Value{std::move(list)};
}

Result<Value> DictToValue(const py::dict& source, int depth) {
  Value::Dict dict;
  dict.reserve(source.size());
  for (const auto& [key, item] : source) {
    if (!PyUnicode_Check(key.ptr())) {
      return Status::InvalidArgument("a dict argument has a key of type " + TypeName(key) +
                                     "; keys must be str");
    }
    const Result<std::string_view> name = Text(key);
    if (!name.ok()) return name.status();
    Result<Value> value = ToValueAt(item, depth + 1);
    if (!value.ok()) return value.status();
    dict.emplace_back(std::string(name.value()), std::move(value).value());
  }
  std::sort(dict.begin(), dict.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return Value{std::move(dict)};
}

Result<Value> ArrayToValue(py::handle object) {
  const Result<ArrayView> view = ViewArray(object);
  if (!view.ok()) return Status::InvalidArgument(view.status().message());
  const auto* begin = static_cast<const std::byte*>(view.value().array.data());
  std::vector<std::byte> copy(begin, begin + view.value().array.nbytes());
  return Value{
      ObjectRef(Tensor::FromVector(view.value().dtype, view.value().shape, std::move(copy)))};
}

Result<Value> ToValueAt(py::handle object, int depth) {
  if (depth > kMaxValueDepth) return TooDeep();
  PyObject* raw = object.ptr();
  if (raw == Py_None) return Value{};
  if (PyBool_Check(raw)) return Value{raw == Py_True};
  if (PyLong_Check(raw)) {
    const Result<std::int64_t> number = Integer(object);
    if (!number.ok()) return number.status();
    return Value{number.value()};
  }
  if (PyFloat_Check(raw)) return Value{PyFloat_AS_DOUBLE(raw)};
  if (PyUnicode_Check(raw)) {
    const Result<std::string_view> text = Text(object);
    if (!text.ok()) return text.status();
    return Value{std::string(text.value())};
  }
  if (PyBytes_Check(raw)) {
    return Value{Bytes{{PyBytes_AS_STRING(raw), static_cast<std::size_t>(PyBytes_GET_SIZE(raw))}}};
  }
  if (PyList_Check(raw) || PyTuple_Check(raw)) return ListToValue(object, depth);
  if (PyDict_Check(raw)) return DictToValue(py::reinterpret_borrow<py::dict>(object), depth);
  if (py::isinstance<Object>(object))
    return Value{ObjectRef(object.cast<std::shared_ptr<Object>>())};
  if (IsArray(object)) return ArrayToValue(object);
  if (const py::object number = PlainNumber(object)) return ToValueAt(number, depth + 1);
  return Status::InvalidArgument(
      "an argument is of type " + TypeName(object) +
      "; pass None, bool, int, float, str, bytes, list, tuple, dict, ndarray or Image");
}

Status Append(py::handle object, int depth, std::string* out, CanonicalWriter* writer);

Status AppendDict(const py::dict& source, int depth, std::string* out, CanonicalWriter* writer) {
  std::vector<std::pair<std::string_view, py::handle>> entries;
  entries.reserve(source.size());
  for (const auto& [key, item] : source) {
    if (!PyUnicode_Check(key.ptr())) return Status::FailedPrecondition("a dict key is no str");
    const Result<std::string_view> name = Text(key);
    if (!name.ok()) return name.status();
    entries.emplace_back(name.value(), item);
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  writer->BeginDict(entries.size());
  for (const auto& [name, item] : entries) {
    writer->Key(name);
    if (Status status = Append(item, depth + 1, out, writer); !status.ok()) return status;
  }
  return {};
}

Status AppendScalar(py::handle object, int depth, std::string* out, CanonicalWriter* writer) {
  if (const py::object number = PlainNumber(object)) return Append(number, depth + 1, out, writer);
  return Status::FailedPrecondition("an argument of type " + TypeName(object) + " has no identity");
}

Status Append(py::handle object, int depth, std::string* out, CanonicalWriter* writer) {
  if (depth > kMaxValueDepth) return TooDeep();
  PyObject* raw = object.ptr();
  if (raw == Py_None) {
    writer->Null();
  } else if (PyBool_Check(raw)) {
    writer->Bool(raw == Py_True);
  } else if (PyLong_Check(raw)) {
    const Result<std::int64_t> number = Integer(object);
    if (!number.ok()) return Status::FailedPrecondition(number.status().message());
    writer->Int(number.value());
  } else if (PyFloat_Check(raw)) {
    return writer->Double(PyFloat_AS_DOUBLE(raw));
  } else if (PyUnicode_Check(raw)) {
    const Result<std::string_view> text = Text(object);
    if (!text.ok()) return Status::FailedPrecondition(text.status().message());
    writer->String(text.value());
  } else if (PyBytes_Check(raw)) {
    writer->Bytes({PyBytes_AS_STRING(raw), static_cast<std::size_t>(PyBytes_GET_SIZE(raw))});
  } else if (PyList_Check(raw) || PyTuple_Check(raw)) {
    const auto sequence = py::reinterpret_borrow<py::sequence>(object);
    writer->BeginList(sequence.size());
    for (const py::handle item : sequence) {
      if (Status status = Append(item, depth + 1, out, writer); !status.ok()) return status;
    }
  } else if (PyDict_Check(raw)) {
    return AppendDict(py::reinterpret_borrow<py::dict>(object), depth, out, writer);
  } else if (py::isinstance<Object>(object)) {
    return writer->Identity(*object.cast<std::shared_ptr<Object>>());
  } else if (IsPlainArray(object)) {
    const Result<ArrayView> view = ViewArray(object);
    if (!view.ok()) return view.status();
    return writer->Identity(
        Tensor(view.value().dtype, view.value().shape, view.value().array.data(), nullptr));
  } else {
    return AppendScalar(object, depth, out, writer);
  }
  return {};
}

py::object ToArray(const std::shared_ptr<const Tensor>& tensor) {
  const py::capsule owner(new std::shared_ptr<const Tensor>(tensor), [](void* kept) {
    delete static_cast<std::shared_ptr<const Tensor>*>(kept);
  });
  py::array array(py::dtype(DTypeName(tensor->dtype())), tensor->shape(), tensor->data(), owner);
  array.attr("setflags")(false);
  return array;
}

// Copies the lists and dicts of a frozen result; the leaves are immutable and stay shared.
py::object CopyParts(py::handle object) {
  if (PyList_CheckExact(object.ptr())) {
    py::list copy;
    for (const py::handle item : py::reinterpret_borrow<py::list>(object))
      copy.append(CopyParts(item));
    return copy;
  }
  if (PyDict_CheckExact(object.ptr())) {
    py::dict copy;
    for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(object))
      copy[key] = CopyParts(item);
    return copy;
  }
  if (PyTuple_CheckExact(object.ptr())) {
    const auto source = py::reinterpret_borrow<py::tuple>(object);
    py::tuple copy(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) copy[i] = CopyParts(source[i]);
    return copy;
  }
  return py::reinterpret_borrow<py::object>(object);
}

py::object FromObject(const ObjectRef& object) {
  const Object& behind = *object;
  if (typeid(behind) == typeid(Foreign)) {  // much faster than a cast, and it has no subclass
    const auto* foreign = static_cast<const Foreign*>(&behind);
    return foreign->shared_parts() ? CopyParts(foreign->object())
                                   : py::reinterpret_borrow<py::object>(foreign->object());
  }
  if (auto tensor = std::dynamic_pointer_cast<const Tensor>(object)) return ToArray(tensor);
  if (auto array = std::dynamic_pointer_cast<const cuda::DeviceArray>(object))
    return ShowDeviceArray(array);
  return py::cast(std::const_pointer_cast<Object>(object));
}

// What Freeze learns on its way through a result.
struct Frozen {
  std::size_t bytes = 0;
  bool shared_parts = false;
  bool plain = true;
  std::size_t parts = 0;
  bool too_deep = false;

  // Nothing more is to be looked at: what is too large may be so by sharing its parts, to any size.
  [[nodiscard]] bool refused() const { return too_deep || parts > kMostParts; }
  static constexpr std::size_t kMostParts = 10'000'000;
};

py::object FreezeArray(py::handle object, Frozen* frozen) {
  auto array = py::reinterpret_borrow<py::array>(object);
  if (!array.owndata()) array = array.attr("copy")();
  array.attr("setflags")(false);
  frozen->bytes += static_cast<std::size_t>(array.nbytes());
  if (!IsPlainArray(object) || array.dtype().kind() == 'O') frozen->plain = false;
  return array;
}

py::object FreezeParts(py::handle object, int depth, Frozen* frozen) {
  constexpr std::size_t kObjectBytes = 64;
  PyObject* raw = object.ptr();
  frozen->bytes += kObjectBytes;
  ++frozen->parts;
  if (frozen->refused()) return py::none();
  if (raw == Py_None || PyFloat_Check(raw) || PyComplex_Check(raw))
    return py::reinterpret_borrow<py::object>(object);
  if (PyLong_Check(raw)) {
    if (!Integer(object).ok()) frozen->bytes += object.attr("bit_length")().cast<std::size_t>() / 8;
  } else if (PyUnicode_Check(raw)) {
    frozen->bytes += static_cast<std::size_t>(PyUnicode_GET_LENGTH(raw)) * PyUnicode_KIND(raw);
  } else if (PyBytes_Check(raw)) {
    frozen->bytes += static_cast<std::size_t>(PyBytes_GET_SIZE(raw));
  } else if (depth > kMaxValueDepth) {
    frozen->too_deep = true;
  } else if (PyTuple_CheckExact(raw)) {
    const auto source = py::reinterpret_borrow<py::tuple>(object);
    py::tuple copy(source.size());
    for (std::size_t i = 0; i < source.size(); ++i)
      copy[i] = FreezeParts(source[i], depth + 1, frozen);
    return copy;
  } else if (PyList_CheckExact(raw)) {
    frozen->shared_parts = true;
    py::list copy;
    for (const py::handle item : py::reinterpret_borrow<py::list>(object)) {
      copy.append(FreezeParts(item, depth + 1, frozen));
    }
    return copy;
  } else if (PyDict_CheckExact(raw)) {
    frozen->shared_parts = true;
    py::dict copy;
    for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(object)) {
      copy[key] = FreezeParts(item, depth + 1, frozen);
    }
    return copy;
  } else if (py::isinstance<Object>(object)) {
    frozen->bytes += object.cast<std::shared_ptr<Object>>()->bytes();
  } else if (IsArray(object)) {
    return FreezeArray(object, frozen);
  } else if (!IsNumpyScalar(object)) {
    frozen->plain = false;
  }
  return py::reinterpret_borrow<py::object>(object);
}

// What the core can hold itself, without a reference to a Python object; nothing for all else.
std::optional<Value> Scalar(py::handle result) {
  PyObject* const raw = result.ptr();
  if (raw == Py_None) return Value{};
  if (PyBool_Check(raw)) return Value{raw == Py_True};
  if (PyFloat_CheckExact(raw)) return Value{PyFloat_AS_DOUBLE(raw)};
  if (!PyLong_CheckExact(raw)) return std::nullopt;
  const Result<std::int64_t> number = Integer(result);
  return number.ok() ? std::optional(Value{number.value()}) : std::nullopt;
}

}  // namespace

Result<Value> ToValue(py::handle object) { return ToValueAt(object, 0); }

Status AppendIdentity(py::handle object, std::string* out) {
  CanonicalWriter writer(out);
  return Append(object, 0, out, &writer);
}

py::object FromValue(const Value& value) {
  if (const auto* object = value.get_if<ObjectRef>()) return FromObject(*object);
  if (const auto* flag = value.get_if<bool>()) return py::bool_(*flag);
  if (const auto* number = value.get_if<std::int64_t>()) return py::int_(*number);
  if (const auto* number = value.get_if<double>()) return py::float_(*number);
  if (const auto* text = value.get_if<std::string>()) return py::str(*text);
  if (const auto* raw = value.get_if<Bytes>()) return py::bytes(raw->data);
  if (const auto* list = value.get_if<Value::List>()) {
    py::tuple items(list->size());
    for (std::size_t i = 0; i < list->size(); ++i) items[i] = FromValue((*list)[i]);
    return items;
  }
  if (const auto* dict = value.get_if<Value::Dict>()) {
    py::dict items;
    for (const auto& [name, item] : *dict) items[py::str(name)] = FromValue(item);
    return items;
  }
  return py::none();
}

Result<Value> Freeze(py::handle result) {
  if (std::optional<Value> scalar = Scalar(result)) return *std::move(scalar);
  Frozen frozen;
  py::object shared = FreezeParts(result, 0, &frozen);
  if (frozen.too_deep) {
    return Status::InvalidArgument("is nested deeper than " + std::to_string(kMaxValueDepth) +
                                   " levels, or contains itself; flatten it");
  }
  if (frozen.refused()) {
    return Status::InvalidArgument("has more than " + std::to_string(Frozen::kMostParts) +
                                   " parts; return arrays");
  }
  return Value{ObjectRef(std::make_shared<Foreign>(shared.release().ptr(), frozen.bytes,
                                                   frozen.shared_parts, frozen.plain))};
}

std::size_t ArgumentBytes(py::dict arguments, std::vector<ObjectRef>* objects) {
  std::size_t total = 0;
  for (const auto& [key, item] : arguments) {
    PyObject* raw = item.ptr();
    if (raw == Py_None || PyLong_Check(raw) || PyFloat_Check(raw) || PyUnicode_Check(raw)) continue;
    if (PyBytes_Check(raw)) {
      total += static_cast<std::size_t>(PyBytes_GET_SIZE(raw));
    } else if (py::isinstance<Object>(item)) {
      objects->push_back(item.cast<std::shared_ptr<Object>>());
      total += objects->back()->bytes();
    } else if (IsArray(item)) {
      total += static_cast<std::size_t>(py::reinterpret_borrow<py::array>(item).nbytes());
    }
  }
  return total;
}

}  // namespace vista::python
