#include "dimse/session/session.h"

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "dicom/status.h"
#include "dimse/commitment/event_report.h"

namespace isthmus::dimse {
namespace {

// Data sets of services other than C-STORE: taken and dropped when we do not offer them.
constexpr std::uint64_t kMaxDrainedBytes = 16 * MiB;  // 50,000 references are about 8 MiB
// A message that is slower than this, once the PDU time-out is over, only holds a thread.
constexpr std::uint64_t kLeastBytesPerSecond = 1 * KiB;
// How soon an association that says nothing notices that its sender was blocked.
constexpr Milliseconds kLookAtPolicy{1'000};

// A-ABORT of the service user (PS3.8 table 9-26): the upper layer was right, the message was not.
Refusal user_abort(const char* why) {
  return {Refusal::Kind::abort, 0, 0, 0, why};
}

std::string hex_status(std::uint16_t status) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) text.push_back(kDigits[(status >> shift) & 0xf]);
  return text;
}

}  // namespace

Session::Session(Env& env, Spool& spool, const Senders& senders, Network& network,
                 const SessionOptions& options, const StopSignal& stop, SenderLabels& sender_labels,
                 std::function<void(Descriptor)> hand_back)
    : env_(env),
      spool_(spool),
      senders_(senders),
      network_(network),
      options_(options),
      stop_(stop),
      hand_back_(std::move(hand_back)),
      sender_labels_(sender_labels) {}

void Session::run(Admitted admitted) {
  began_ = env_.clock.steady_now();
  origin_.receiver = "dimse";
  origin_.association_id = make_id_text(env_);
  origin_.calling_ae_title = admitted.request.calling_ae_title;
  origin_.called_ae_title = admitted.request.called_ae_title;
  origin_.peer_address = admitted.peer_address;
  asked_ = std::move(admitted.asked);
  policy_version_ = admitted.policy_version;
  sender_ = std::move(admitted.sender);
  place_ = std::move(admitted.place);

  std::optional<Association> association = open(std::move(admitted));
  if (!association) return;
  const End end = serve(*association);
  const char* why = nullptr;
  if (const auto* refusal = std::get_if<Refusal>(&end)) {
    why = refusal->why;
    env_.metrics
        .counter("dimse_refused_total", "Associations refused or aborted by us, by reason",
                 {{"reason", why}})
        .add();
    association->connection().send_last(encode_refusal(*refusal));
  } else {
    why = std::get<const char*>(end);
  }
  store_.reset();
  action_.reset();
  reports_.reset();
  association.reset();
  env_.log.info("association.closed", {{"association", origin_.association_id},
                                       {"end", why},
                                       {"stored", stored_},
                                       {"failed", failed_},
                                       {"dataset_bytes", dataset_bytes_},
                                       {"took_ms", (env_.clock.steady_now() - began_).count()}});
}

std::optional<Association> Session::open(Admitted admitted) {
  contexts_ = decide_contexts(admitted.request, options_.policy);
  refuse_classes(contexts_, sender_);
  const auto extended = extended_answers(admitted.request, contexts_);
  const int descriptor = admitted.channel.descriptor();
  note_protection(admitted.channel);
  auto connection = std::make_unique<GuardedConnection>(env_, std::move(admitted.channel),
                                                        encode_for_dcmtk(admitted.request),
                                                        options_.connection, stop_, hand_back_);
  auto association =
      network_.receive(std::move(connection), descriptor, options_.connection.max_pdu_bytes);
  Result<void> accepted = association.ok() ? association->accept(contexts_, extended)
                                           : Result<void>(association.error());
  if (!accepted.ok()) {
    env_.log.warn("association.failed",
                  {{"association", origin_.association_id}, {"error", describe(accepted.error())}});
    return std::nullopt;
  }
  const auto usable = std::count_if(contexts_.begin(), contexts_.end(), [](const auto& context) {
    return context.result == ContextResult::accepted;
  });
  env_.log.info("association.accepted", {{"association", origin_.association_id},
                                         {"sender", sender_.name},
                                         {"calling_ae_title", origin_.calling_ae_title},
                                         {"called_ae_title", origin_.called_ae_title},
                                         {"peer", origin_.peer_address},
                                         {"contexts_accepted", usable},
                                         {"contexts_offered", contexts_.size()}});
  const auto commitment = std::find_if(contexts_.begin(), contexts_.end(), [](const auto& one) {
    return one.commitment && one.result == ContextResult::accepted;
  });
  if (commitment != contexts_.end()) {
    reports_.emplace(env_, *options_.commitment, origin_, *commitment);
  }
  return std::move(association).value();
}

void Session::note_protection(const Channel& channel) const {
  const tls::Session* session = channel.tls();
  if (session == nullptr) return;
  env_.log.info("association.protected", {{"association", origin_.association_id},
                                          {"version", session->version()},
                                          {"suite", session->suite()},
                                          {"certificate", session->peer().fingerprint_sha256}});
}

Session::End Session::serve(Association& association) {
  using Arrival = GuardedConnection::Arrival;
  for (;;) {
    if (const char* why = shut_out()) return user_abort(why);
    const bool idle = messages_.between_messages();
    association.connection().set_deadline(deadline());
    const auto awaited = await(association, idle);
    if (const auto* end = std::get_if<End>(&awaited)) return *end;
    switch (std::get<Arrival>(awaited)) {
      case Arrival::data:
        if (auto end = on_fragment(association, association.connection().fragment())) return *end;
        if (const char* why = overdue()) return user_abort(why);
        pace();
        break;
      case Arrival::release:
        if (!idle) return abort_with(AbortReason::unexpected_pdu, "release_in_message");
        // Given back before the answer: whoever has heard it may come again at once.
        place_ = {};
        return association.acknowledge_release().ok() ? "released" : "failed";
      case Arrival::aborted:
        return "aborted";
      case Arrival::closed:
        return association.connection().why_closed();
      case Arrival::timed_out:
        if (const char* why = past_deadline()) return user_abort(why);
        return user_abort(idle && !association.connection().is_within_pdu() ? "idle_timeout"
                                                                            : "pdu_timeout");
      case Arrival::stopping:
        return user_abort("stopping");
      case Arrival::refused:
        return association.connection().refusal();
    }
  }
}

std::variant<GuardedConnection::Arrival, Session::End> Session::await(Association& association,
                                                                      bool idle) {
  using Arrival = GuardedConnection::Arrival;
  GuardedConnection& connection = association.connection();
  const SteadyTime until =
      env_.clock.steady_now() + (idle ? options_.idle_timeout : options_.connection.pdu_timeout);
  for (;;) {
    const auto left = until - env_.clock.steady_now();
    const auto quiet = idle && reports_ ? reports_->quiet() : std::nullopt;
    const Arrival arrival = connection.await(std::min(quiet.value_or(kLookAtPolicy), left), idle);
    const bool silent = arrival == Arrival::timed_out && !connection.is_within_pdu();
    const bool over = env_.clock.steady_now() >= until || past_deadline() != nullptr;
    if (!silent || over) return arrival;
    if (const char* why = shut_out()) return End(user_abort(why));
    if (!quiet) continue;
    if (const Result<void> told = reports_->tick(association); !told.ok()) {
      env_.log.warn("association.failed",
                    {{"association", origin_.association_id}, {"error", describe(told.error())}});
      return End("failed");
    }
  }
}

void Session::pace() {
  constexpr Milliseconds kStep{100};  // how soon stopping is noticed
  while (to_wait_ > Milliseconds(0) &&
         stop_.abort_at.load(std::memory_order_acquire) == SteadyTime::max()) {
    const SteadyTime before = env_.clock.steady_now();
    env_.clock.sleep_for(std::min(to_wait_, kStep));
    const Milliseconds waited = env_.clock.steady_now() - before;
    to_wait_ -= std::min(to_wait_, std::max(waited, Milliseconds(1)));
    message_began_ += waited;  // that it took so long is not the peer's doing
  }
  to_wait_ = Milliseconds(0);
}

const char* Session::shut_out() {
  const std::uint64_t version = senders_.version();
  if (std::exchange(policy_version_, version) == version) return nullptr;
  const SenderRefusal refusal = senders_.admit(asked_).refusal;
  if (refusal == SenderRefusal::none) return nullptr;
  return to_string(refusal).data();  // a literal: ends with a NUL
}

SteadyTime Session::deadline() const {
  return messages_.between_messages() ? began_ + options_.association_timeout
                                      : message_began_ + options_.message_timeout;
}

const char* Session::past_deadline() const {
  if (env_.clock.steady_now() < deadline()) return nullptr;
  return messages_.between_messages() ? "association_timeout" : "message_timeout";
}

const char* Session::overdue() const {
  if (const char* why = past_deadline()) return why;
  if (messages_.between_messages()) return nullptr;
  const auto took = env_.clock.steady_now() - message_began_;
  if (took < options_.connection.pdu_timeout) return nullptr;
  const auto milliseconds = static_cast<std::uint64_t>(took.count());
  return message_bytes_ * 1000 / milliseconds < kLeastBytesPerSecond ? "too_slow" : nullptr;
}

std::optional<Session::End> Session::on_fragment(Association& association,
                                                 const Fragment& fragment) {
  if (messages_.between_messages()) {
    message_began_ = env_.clock.steady_now();
    message_bytes_ = 0;
  }
  message_bytes_ += fragment.bytes.size();
  const auto verdict = messages_.feed(fragment);
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) return *refusal;
  switch (std::get<MessageAssembler::Event>(verdict)) {
    case MessageAssembler::Event::more:
      return std::nullopt;
    case MessageAssembler::Event::command_complete:
      return on_command(association);
    case MessageAssembler::Event::data:
      return on_data(fragment.bytes);
    case MessageAssembler::Event::data_complete:
      if (auto end = on_data(fragment.bytes)) return end;
      return on_message_end(association);
  }
  return std::nullopt;
}

const ContextDecision& Session::context() const {
  const auto found = std::find_if(contexts_.begin(), contexts_.end(), [&](const auto& context) {
    return context.id == messages_.context_id();
  });
  ASSERT(found != contexts_.end());  // the guard lets no others through
  return *found;
}

std::optional<Session::End> Session::on_command(Association& association) {
  auto parsed = parse_command(messages_.command());
  if (!parsed.ok()) return user_abort("malformed_command");
  command_ = std::move(parsed).value();
  drained_bytes_ = 0;
  // Reports are all that we ask for.
  if ((command_.field & kResponseBit) != 0) {
    if (!reports_ || !reports_->take_response(command_)) return user_abort("unsolicited_response");
    return std::nullopt;
  }
  if (command_.field == kActionRequest && context().commitment) {
    action_.emplace(env_, *options_.commitment, origin_, command_, context().transfer_syntax,
                    messages_.has_dataset());
  }
  if (command_.field == kCStoreRequest && messages_.has_dataset()) begin_store();
  if (messages_.has_dataset()) return std::nullopt;
  return on_message_end(association);
}

void Session::begin_store() {
  StoreRequest request;
  request.sop_class_uid = command_.affected_sop_class_uid;
  request.sop_instance_uid = command_.affected_sop_instance_uid;
  request.context_sop_class_uid = context().abstract_syntax;
  request.transfer_syntax_uid = context().transfer_syntax;
  request.context_stores = context().stores();
  request.route = [this](RouteAttributes attributes) {
    attributes.sender = sender_.name;
    attributes.calling_ae_title = origin_.calling_ae_title;
    attributes.called_ae_title = origin_.called_ae_title;
    return senders_.route(sender_, attributes).destinations;
  };
  store_.emplace(spool_, origin_, std::move(request), options_.max_instance_bytes);
  to_wait_ += place_.pace_instance();
}

std::optional<Session::End> Session::on_data(ByteSpan bytes) {
  dataset_bytes_ += bytes.size();
  to_wait_ += place_.pace_bytes(bytes.size());
  if (store_) {
    store_->append(bytes);
    if (store_->is_hopeless()) return user_abort("instance_too_large");
    return std::nullopt;
  }
  if (action_) action_->append(bytes);
  drained_bytes_ += bytes.size();
  if (drained_bytes_ > kMaxDrainedBytes) return user_abort("dataset_too_large");
  return std::nullopt;
}

std::uint16_t Session::status_without_storing() const {
  switch (command_.field) {
    case kCEchoRequest:
      if (messages_.has_dataset()) return dicom::kMistypedArgument;
      return context().verification && command_.affected_sop_class_uid == context().abstract_syntax
                 ? dicom::kSuccess
                 : dicom::kSopClassNotSupported;
    case kCStoreRequest:
      return dicom::kMistypedArgument;  // it says that no data set follows
    default:
      // Operations come one at a time and are answered before the next is looked at: a Message ID
      // cannot be in use, so "duplicate invocation" (0210H) is never said.
      return dicom::kUnrecognizedOperation;
  }
}

std::optional<Session::End> Session::on_message_end(Association& association) {
  if (store_) return answer_store(association);
  if (action_) return answer_action(association);
  if ((command_.field & kResponseBit) != 0) return std::nullopt;  // with an event reply; taken
  if (command_.field == kCCancelRequest) return std::nullopt;     // has no response (PS3.7 9.3.2.3)
  Response response;
  response.status = status_without_storing();
  return answer(association, std::move(response));
}

std::optional<Session::End> Session::answer_store(Association& association) {
  const Result<Receipt> receipt = store_->finish();
  Response response;
  if (receipt.ok()) {
    ++stored_;
    FAILPOINT(dimse_before_answer);
  } else {
    ++failed_;
    refuse_store(receipt.error(), response);
  }
  store_.reset();
  count_store(response.status);
  auto end = answer(association, std::move(response));
  const auto took = env_.clock.steady_now() - message_began_;
  if (store_seconds_ == nullptr) {
    store_seconds_ = &sender_labels_.store_seconds(sender_.name.empty() ? origin_.calling_ae_title
                                                                        : sender_.name);
  }
  store_seconds_->observe(std::chrono::duration<double>(took).count());
  return end;
}

void Session::count_store(std::uint16_t status) {
  if (status == dicom::kSuccess && stored_well_ != nullptr) return stored_well_->add();
  const dicom::Status* known = dicom::find_status(status);
  Counter& counter =
      env_.metrics.counter("dimse_instances_total", "C-STORE requests answered, by status",
                           {{"status", std::string(known == nullptr ? "other" : known->name)}});
  counter.add();
  if (status == dicom::kSuccess) stored_well_ = &counter;
}

std::optional<Session::End> Session::answer_action(Association& association) {
  ActionOperation::Answer done = action_->finish();
  action_.reset();
  env_.metrics
      .counter("commitment_requests_total", "N-ACTION requests of storage commitment, by status",
               {{"status", hex_status(done.status)}})
      .add();
  Response response;
  response.status = done.status;
  response.error_comment = std::move(done.error_comment);
  response.action_type_id = command_.action_type_id;
  if (auto end = answer(association, std::move(response))) return end;
  if (reports_ && done.commitment && done.hold) {
    reports_->expect(*done.commitment, std::move(*done.hold), done.same_association);
  }
  return std::nullopt;
}

void Session::refuse_store(const Error& error, Response& response) {
  const std::string correlation_id =
      origin_.association_id + "/" + std::to_string(command_.message_id);
  auto status = dicom::store_status_of(error, correlation_id);
  response.status = status.code;
  response.error_comment = std::move(status.error_comment);
  response.offending_element = store_->offending_element();
  env_.log.warn("instance.refused", {{"association", origin_.association_id},
                                     {"message", command_.message_id},
                                     {"status", hex_status(status.code)},
                                     {"received_bytes", store_->received_bytes()},
                                     {"error", describe(error)}});
}

std::optional<Session::End> Session::answer(Association& association, Response response) {
  response.field = command_.field;
  response.message_id = command_.message_id;
  // Repeated as they came: some senders hang without them (PS3.7 table 9.3-2). What is longer than
  // a UID may be is cut off by leaving it out.
  if (command_.affected_sop_class_uid.size() <= 64) {
    response.affected_sop_class_uid = command_.affected_sop_class_uid;
  }
  if (command_.affected_sop_instance_uid.size() <= 64) {
    response.affected_sop_instance_uid = command_.affected_sop_instance_uid;
  }
  const auto sent = association.send_command(messages_.context_id(), encode_response(response));
  if (sent.ok()) return std::nullopt;
  if (association.connection().gave_up_writing()) return user_abort("peer_does_not_read");
  return End("closed");
}

}  // namespace isthmus::dimse
