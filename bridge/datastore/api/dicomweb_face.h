// What differs between the addresses that DICOMweb is served under: paths, who may call, limits,
// and how errors and stored instances are told. Everything else is DicomWebApi's. Any thread.
#pragma once

#include <string>
#include <vector>

#include "datastore/api/dicomweb_query.h"
#include "datastore/api/dicomweb_stow.h"
#include "datastore/api/gate.h"
#include "datastore/api/google_tokens.h"
#include "datastore/api/oidc_gate.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/google_stores.h"
#include "http/router.h"

namespace isthmus::datastore {

class DicomWebFace {
 public:
  virtual ~DicomWebFace() = default;
  // Templates of what stands before "/studies", with a {store}.
  virtual std::vector<std::string> roots() const = 0;
  // Lets the caller in; the data store that is meant. `body_hash` is of the whole body.
  virtual Result<DataStoreRecord> admit(const http::Head& head, const http::PathParameters& path,
                                        const std::string& body_hash) const = 0;
  // What addresses of studies begin with.
  virtual std::string base_url(const http::Head& head, const http::PathParameters& path) const = 0;
  virtual QueryLimits limits(QueryLevel level) const = 0;
  // The transfer syntax of retrieved files when the client names none; "*": as they are.
  virtual std::string retrieved_syntax() const = 0;
  // The order of a store transaction whose body has not come.
  virtual Result<Stow::Order> order(const http::Head& head,
                                    const http::PathParameters& path) const = 0;
  virtual http::Response refusal(const Error& error) const = 0;
  // Adds to an answer what every answer has.
  virtual void complete(http::Response& response) const = 0;
};

// Under /datastore/{datastoreId}/, with HealthImaging's signatures and errors; or with a token of
// the identity provider, as HealthImaging's DICOMweb takes one.
class HealthImagingWeb : public DicomWebFace {
 public:
  HealthImagingWeb(Env& env, const Gate& gate, const OidcGate& oidc, DataStores& data_stores)
      : env_(env), gate_(gate), oidc_(oidc), data_stores_(data_stores) {}
  static bool claims_path(std::string_view path);

  std::vector<std::string> roots() const override { return {"/datastore/{store}"}; }
  Result<DataStoreRecord> admit(const http::Head& head, const http::PathParameters& path,
                                const std::string& body_hash) const override;
  std::string base_url(const http::Head& head, const http::PathParameters& path) const override;
  QueryLimits limits(QueryLevel level) const override;
  std::string retrieved_syntax() const override { return "*"; }
  Result<Stow::Order> order(const http::Head& head,
                            const http::PathParameters& path) const override;
  http::Response refusal(const Error& error) const override;
  void complete(http::Response& response) const override;

 private:
  bool allowed(const http::Head& head, const DataStoreRecord& store) const;

  Env& env_;
  const Gate& gate_;
  const OidcGate& oidc_;
  DataStores& data_stores_;
};

// Under /v1/projects/…/dicomStores/{store}/dicomWeb, with tokens and Google's errors.
class GoogleWeb : public DicomWebFace {
 public:
  GoogleWeb(Env& env, GoogleTokens& tokens, GoogleStores& stores, DataStores& data_stores,
            std::uint64_t most_store_bytes)
      : env_(env),
        tokens_(tokens),
        stores_(stores),
        data_stores_(data_stores),
        most_store_bytes_(most_store_bytes) {}
  // Metrics are the Healthcare API's own.
  static bool claims_path(std::string_view path);

  std::vector<std::string> roots() const override;
  Result<DataStoreRecord> admit(const http::Head& head, const http::PathParameters& path,
                                const std::string& body_hash) const override;
  std::string base_url(const http::Head& head, const http::PathParameters& path) const override;
  QueryLimits limits(QueryLevel level) const override;
  // contracts/google-healthcare section 6: transcoded, unless the client says otherwise.
  std::string retrieved_syntax() const override { return "1.2.840.10008.1.2.1"; }
  Result<Stow::Order> order(const http::Head& head,
                            const http::PathParameters& path) const override;
  http::Response refusal(const Error& error) const override;
  void complete(http::Response&) const override {}

 private:
  Env& env_;
  GoogleTokens& tokens_;
  GoogleStores& stores_;
  DataStores& data_stores_;
  const std::uint64_t most_store_bytes_;
};

}  // namespace isthmus::datastore
