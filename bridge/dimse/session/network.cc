#include "dimse/session/network.h"

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dcmlayer.h>
#include <dcmtk/dcmnet/dul.h>
#include <dcmtk/oflog/oflog.h>
#include <dcmtk/ofstd/ofstd.h>

#include <mutex>

#include "dicom/part10.h"

namespace isthmus::dimse {
namespace {

// DCMTK takes a ready socket from a global variable (dcmExternalSocketHandle): one at a time in the
// whole process.
std::mutex& handover_mutex() {
  static std::mutex mutex;
  return mutex;
}

class Handover {
 public:
  explicit Handover(int descriptor) : lock_(handover_mutex()) {
    dcmExternalSocketHandle.set(descriptor);
  }
  ~Handover() { dcmExternalSocketHandle.set(DCMNET_INVALID_SOCKET); }

 private:
  std::lock_guard<std::mutex> lock_;
};

Error dcmtk_error(const char* what, const OFCondition& condition) {
  // DCMTK's texts may repeat what the peer sent: only its numbers go into ours.
  return permanent_error("dimse.dcmtk", std::string(what) + " (DCMTK condition " +
                                            std::to_string(condition.module()) + "/" +
                                            std::to_string(condition.code()) + ").");
}

// Level 2 (full) storage: all elements are kept, nothing is coerced (PS3.4 B.3.1).
SOPClassExtendedNegotiationSubItem* storage_level_2(const std::string& sop_class_uid) {
  constexpr unsigned char kAnswer[] = {2, 0, 1, 0, 0, 0};
  auto* item = new SOPClassExtendedNegotiationSubItem;
  item->sopClassUID = sop_class_uid.c_str();
  item->serviceClassAppInfoLength = sizeof(kAnswer);
  item->serviceClassAppInfo = new unsigned char[sizeof(kAnswer)];
  std::copy(std::begin(kAnswer), std::end(kAnswer), item->serviceClassAppInfo);
  return item;
}

void silence_dcmtk() {
  // Its log lines carry values that peers sent; ours say what an operator needs. Once a process.
  static const bool done = [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    return true;
  }();
  (void)done;
}

}  // namespace

class Network::Layer : public DcmTransportLayer {
 public:
  DcmTransportConnection* createConnection(DcmNativeSocketType /*socket*/,
                                           OFBool /*secure*/) override {
    return next_.release();
  }
  std::unique_ptr<GuardedConnection> next_;
};

Network::Network() : layer_(std::make_unique<Layer>()) {}

Network::~Network() {
  if (network_ != nullptr) ASC_dropNetwork(&network_);
}

Result<std::unique_ptr<Network>> Network::open() {
  silence_dcmtk();
  if (!dcmDataDict.isDictionaryLoaded()) {
    return permanent_error("dimse.dcmtk",
                           "DCMTK's data dictionary is missing: install dcmtk's data.");
  }
  dcmDisableGethostbyaddr.set(OFTrue);  // or every association waits for a name server
  std::unique_ptr<Network> network(new Network());
  // With a socket of ours set, DCMTK opens none to listen on; which one is of no consequence.
  const Handover handover(0);
  const OFCondition opened = ASC_initializeNetwork(NET_ACCEPTOR, 0, 1, &network->network_);
  if (opened.bad()) return dcmtk_error("DCMTK's network cannot be initialised", opened);
  ASC_setTransportLayer(network->network_, network->layer_.get(), 0);
  return network;
}

Result<Association> Network::receive(std::unique_ptr<GuardedConnection> connection, int descriptor,
                                     std::uint32_t max_pdu_bytes) {
  GuardedConnection* const guarded = connection.get();
  T_ASC_Association* received = nullptr;
  OFCondition condition;
  {
    const Handover handover(descriptor);
    layer_->next_ = std::move(connection);
    condition = ASC_receiveAssociation(network_, &received, static_cast<long>(max_pdu_bytes),
                                       nullptr, nullptr, OFFalse, DUL_NOBLOCK, 1);
    layer_->next_.reset();
  }
  Association association(received, guarded);
  if (condition.bad()) return dcmtk_error("DCMTK did not take an association request", condition);
  return association;
}

Association::Association(Association&& other) noexcept
    : association_(std::exchange(other.association_, nullptr)), connection_(other.connection_) {}

Association::~Association() {
  if (association_ == nullptr) return;
  ASC_dropAssociation(association_);
  ASC_destroyAssociation(&association_);
}

Result<void> Association::accept(const std::vector<ContextDecision>& decisions,
                                 const std::vector<std::string>& extended_answers) {
  T_ASC_Parameters& parameters = *association_->params;
  AcceptedContexts accepted{};
  for (const ContextDecision& decision : decisions) {
    OFCondition condition;
    if (decision.result == ContextResult::accepted) {
      accepted[decision.id] = true;
      condition = ASC_acceptPresentationContext(
          &parameters, decision.id, decision.transfer_syntax.c_str(),
          decision.role_answered ? ASC_SC_ROLE_SCU : ASC_SC_ROLE_DEFAULT);
    } else {
      condition = ASC_refusePresentationContext(
          &parameters, decision.id,
          static_cast<T_ASC_P_ResultReason>(static_cast<int>(decision.result)));
    }
    if (condition.bad()) return dcmtk_error("A presentation context was not answered", condition);
  }
  if (!extended_answers.empty()) {
    auto* list = new SOPClassExtendedNegotiationSubItemList;
    for (const std::string& uid : extended_answers) list->push_back(storage_level_2(uid));
    ASC_setAcceptedExtNegList(&parameters, list);  // takes it
  }
  OFStandard::strlcpy(parameters.ourImplementationClassUID,
                      std::string(dicom::implementation_class_uid()).c_str(),
                      sizeof(parameters.ourImplementationClassUID));
  OFStandard::strlcpy(parameters.ourImplementationVersionName,
                      std::string(dicom::implementation_version_name()).c_str(),
                      sizeof(parameters.ourImplementationVersionName));
  connection_->accept_contexts(accepted);
  const OFCondition sent = ASC_acknowledgeAssociation(association_);
  if (sent.bad()) return dcmtk_error("An association was not acknowledged", sent);
  return {};
}

Result<void> Association::acknowledge_release() {
  DUL_PDVLIST list{};
  const OFCondition read = DUL_ReadPDVs(&association_->DULassociation, &list, DUL_NOBLOCK, 0);
  if (read != DUL_PEERREQUESTEDRELEASE) return dcmtk_error("DCMTK did not take a release", read);
  const OFCondition sent = ASC_acknowledgeRelease(association_);
  if (sent.bad()) return dcmtk_error("A release was not acknowledged", sent);
  return {};
}

Result<void> Association::send(std::uint8_t context_id, bool is_command, Bytes content) {
  DUL_PDV pdv{};
  pdv.fragmentLength = content.size();
  pdv.presentationContextID = context_id;
  pdv.pdvType = is_command ? DUL_COMMANDPDV : DUL_DATASETPDV;
  pdv.lastPDV = OFTrue;
  pdv.data = content.data();  // DCMTK's struct wants it mutable
  DUL_PDVLIST list{};
  list.count = 1;
  list.pdv = &pdv;
  const OFCondition sent = DUL_WritePDVs(&association_->DULassociation, &list);
  if (sent.bad()) return dcmtk_error("A message was not sent", sent);
  return {};
}

Result<void> Association::send_command(std::uint8_t context_id, const Bytes& command_set) {
  return send(context_id, true, command_set);
}

Result<void> Association::send_dataset(std::uint8_t context_id, Bytes dataset) {
  return send(context_id, false, std::move(dataset));
}

}  // namespace isthmus::dimse
