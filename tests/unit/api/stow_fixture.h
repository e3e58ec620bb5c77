// A Store receiver over a spool in memory, and requests to it without a socket.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/stow.h"
#include "http/loopback.h"
#include "support/dicom_factory.h"
#include "support/intake_spool.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/scripted_authenticator.h"
#include "support/stow_requests.h"
#include "support/test_env.h"

namespace isthmus::test {

inline SenderPolicy everybody() {
  SenderPolicy policy;
  policy.mode = SenderMode::open;
  return policy;
}

class StowFixture : public ::testing::Test {
 protected:
  explicit StowFixture(SenderPolicy policy = everybody()) : senders_(std::move(policy)) {}
  void SetUp() override { open({}); }
  void open(api::StowOptions options) {
    options.scratch_directory = env_.folder() / "scratch";
    router_ = std::make_unique<api::GuardedRouter>(env_, authenticator_, audit_);
    stow_ = api::make_stow_receiver(env_, spool_, admission_, senders_, std::move(options));
    EXPECT_THAT(stow_->recover(), IsOk());
    stow_->add_routes(*router_);
  }

  StowAnswer post(const std::string& body, const std::string& type = related_type(),
                  const std::string& study = "", http::Headers more = {}) {
    http::Request request;
    request.method = "POST";
    request.url = "http://gateway/dicom-web/studies" + (study.empty() ? "" : "/" + study);
    request.headers = std::move(more);
    if (!type.empty()) request.headers.set("Content-Type", type);
    request.body = source_of(body);
    auto response = http::make_loopback(*router_)->send(std::move(request));
    EXPECT_THAT(response, IsOk());
    return StowAnswer::of(std::move(response).value());
  }
  static DicomRecipe instance(int number, std::string study = "2.25.7") {
    DicomRecipe recipe;
    recipe.study_instance_uid = study;
    recipe.series_instance_uid = study + ".1";
    recipe.sop_instance_uid = study + ".1." + std::to_string(number);
    recipe.seed = static_cast<std::uint64_t>(number);
    return recipe;
  }
  static std::string uid(int number) { return instance(number).sop_instance_uid; }

  TestEnv env_;
  IntakeSpool spool_{env_};
  Admission admission_{env_, AdmissionOptions{env_.folder(), 0, 0}};
  Senders senders_;
  ScriptedAuthenticator authenticator_;
  MemoryAccessRows audit_;
  std::unique_ptr<api::GuardedRouter> router_;
  std::unique_ptr<api::StowReceiver> stow_;
};

}  // namespace isthmus::test
