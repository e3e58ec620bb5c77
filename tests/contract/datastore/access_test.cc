// Who may call the data store, how often, and where it writes down what happened.
#include <filesystem>
#include <fstream>

#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::StoreKit;

namespace hi = wire::healthimaging;
namespace fs = std::filesystem;

std::string error_type(const Answer& answer) {
  const hi::ErrorBody error = hi::read_error(answer.headers.get("x-amzn-ErrorType"), answer.body);
  return std::to_string(answer.status) + " " + error.type;
}

TEST(EventLog, HasEachEventOnceThroughRestarts) {
  datastore::DataStoreOptions options;
  options.event_log = true;
  StoreKit kit(options);
  const fs::path file = kit.env().folder() / "store" / "events.ndjson";
  const auto lines = [&] {
    std::ifstream text(file);
    std::vector<std::string> found;
    for (std::string line; std::getline(text, line);) found.push_back(line);
    return found;
  };
  const auto wait_for_lines = [&](std::size_t count) {
    for (int i = 0; i < 3000 && lines().size() < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  };
  const std::string first = kit.make_data_store("first");
  kit.store().start();
  wait_for_lines(2);
  kit.open();
  kit.make_data_store("second");
  kit.store().start();
  wait_for_lines(4);
  kit.store().stop();

  const std::vector<std::string> found = lines();

  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(json::parse(found[1], nullptr, false)["detail"]["datastoreId"], first);
  EXPECT_EQ(json::parse(found[3], nullptr, false)["detail"]["datastoreName"], "second");
}

TEST(Keys, ForOneDataStoreAreForNothingElse) {
  datastore::DataStoreOptions options;
  options.access_keys = {test::kKey, {"ONE", "one-secret", "mine", {"mine-bucket"}}};
  StoreKit kit(options);
  const std::string mine = kit.make_data_store("mine"), other = kit.make_data_store("other");
  const auto as_one = [&](const std::string& service, const std::string& method,
                          const std::string& target, const std::string& body = "",
                          http::Headers headers = {}) {
    http::Request request = kit.request(method, target, body, std::move(headers));
    EXPECT_TRUE(wire::sigv4::sign(request, {"ONE", "one-secret", ""}, "us-east-1", service,
                                  kit.env().clock.wall_now(), sha256(body).hex())
                    .ok());
    return kit.raw(std::move(request)).status;
  };
  const std::string imaging = "medical-imaging";
  hi::StartDICOMImportJobRequest start;
  start.datastore_id = mine;
  start.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  start.client_token = "1";
  start.input_s3_uri = "s3://in-bucket/a";
  start.output_s3_uri = "s3://mine-bucket/a";

  EXPECT_EQ(as_one(imaging, "GET", "/datastore/" + mine), 200);
  EXPECT_EQ(as_one(imaging, "GET", "/datastore/" + other), 403);
  EXPECT_EQ(as_one(imaging, "GET", "/datastore"), 403);
  EXPECT_EQ(as_one(imaging, "GET", "/events"), 403);
  EXPECT_EQ(as_one(imaging, "POST", hi::to_call(start).target, hi::to_call(start).body), 403);
  start.input_s3_uri = "s3://mine-bucket/a";
  EXPECT_EQ(as_one(imaging, "POST", hi::to_call(start).target, hi::to_call(start).body), 200);
  EXPECT_EQ(as_one("s3", "PUT", "/mine-bucket"), 200);
  EXPECT_EQ(as_one("s3", "PUT", "/mine-bucket/k", "x"), 200);
  EXPECT_EQ(as_one("s3", "PUT", "/in-bucket/k", "x"), 403);
  EXPECT_EQ(as_one("s3", "GET", "/"), 403);
  EXPECT_EQ(as_one("s3", "PUT", "/mine-bucket/k", "", {{"x-amz-copy-source", "/in-bucket/k"}}),
            403);
}

TEST(Throttling, IsByOperationAtTheDocumentedRates) {
  datastore::DataStoreOptions options;
  options.throttled = true;
  StoreKit kit(options);
  const std::string store = kit.make_data_store();
  const hi::DeleteImageSetRequest request{store, std::string(32, 'a')};

  EXPECT_EQ(error_type(kit.imaging(hi::to_call(request))), "404 ResourceNotFoundException");
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(request))), "429 ThrottlingException");
  kit.env().clock.advance(Milliseconds(4'000));
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(request))), "404 ResourceNotFoundException");
}

}  // namespace
}  // namespace isthmus
