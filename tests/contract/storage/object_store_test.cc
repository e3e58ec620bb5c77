#include "contract/storage/object_store_contract.h"
#include "support/memory_object_store.h"

namespace isthmus::test {
namespace {

class Memory : public StoreUnderTest {
 public:
  ObjectStore& store() override { return store_; }

 private:
  MemoryObjectStore store_;
};

INSTANTIATE_TEST_SUITE_P(Memory, ObjectStoreContract,
                         testing::Values(StoreFactory{
                             "memory", [](std::string&) { return std::make_unique<Memory>(); }}));

}  // namespace
}  // namespace isthmus::test
