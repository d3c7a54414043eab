// Foreign: a Python object inside the core. The core may let go of it on any thread and under any
// lock; the reference itself is released later, on a Python thread that holds the GIL.
#pragma once

#include <Python.h>

#include <cstddef>
#include <memory>
#include <string>

#include "base/value.h"

namespace vista::python {

class Foreign final : public Object {
 public:
  // Takes over a reference. `bytes` is what a cache is charged. `shared_parts` says that the object
  // has lists or dicts in it, which every receiver gets a copy of; `plain`, that all else in it can
  // neither be changed nor hide memory.
  Foreign(PyObject* owned, std::size_t bytes, bool shared_parts, bool plain)
      : object_(owned), bytes_(bytes), shared_parts_(shared_parts), plain_(plain) {}
  ~Foreign() override;
  Foreign(const Foreign&) = delete;
  Foreign& operator=(const Foreign&) = delete;

  [[nodiscard]] PyObject* object() const { return object_; }
  [[nodiscard]] bool shared_parts() const { return shared_parts_; }

  Status AppendIdentity(std::string* out) const override;
  [[nodiscard]] std::size_t bytes() const override { return bytes_; }
  [[nodiscard]] bool MayBeKept() const override { return plain_; }

 private:
  PyObject* object_;
  std::size_t bytes_;
  bool shared_parts_;
  bool plain_;
};

// Hands a reference over from any thread; needs no GIL.
void ReleaseLater(PyObject* owned);
// Releases what was handed over. Needs the GIL and no lock of the core: a finaliser may call the
// engine.
void ReleaseNow();
// Whether something waits to be released. Needs no GIL.
bool ReleasesWait();
// In the child of a fork: another thread may have held the lock, and what was handed over is the
// parent's.
void ResetReleases();

}  // namespace vista::python
