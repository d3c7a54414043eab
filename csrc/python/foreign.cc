#include "foreign.h"

#include <atomic>
#include <mutex>
#include <new>
#include <vector>

namespace vista::python {
namespace {

// Lives as long as the process: values may be let go of while the process exits.
struct Releases {
  std::mutex mutex;
  std::vector<PyObject*> objects;
  std::atomic<bool> any{false};
};

Releases& PendingReleases() {
  static auto* releases = new Releases;
  return *releases;
}

}  // namespace

Foreign::~Foreign() { ReleaseLater(object_); }

Status Foreign::AppendIdentity(std::string*) const {
  return Status::FailedPrecondition("a Python object of this type has no identity");
}

void ReleaseLater(PyObject* owned) {
  Releases& releases = PendingReleases();
  const std::lock_guard lock(releases.mutex);
  releases.objects.push_back(owned);
  releases.any.store(true, std::memory_order_release);
}

bool ReleasesWait() { return PendingReleases().any.load(std::memory_order_acquire); }

void ReleaseNow() {
  if (!ReleasesWait()) return;
  Releases& releases = PendingReleases();
  std::vector<PyObject*> objects;
  {
    const std::lock_guard lock(releases.mutex);
    objects.swap(releases.objects);
    releases.any.store(false, std::memory_order_release);
  }
  for (PyObject* object : objects) Py_DECREF(object);
}

void ResetReleases() { new (&PendingReleases()) Releases; }

}  // namespace vista::python
