// One N-ACTION of storage commitment from its command to its answer (PS3.4 J.3.2).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dicom/action_information.h"
#include "dimse/commitment.h"
#include "dimse/session/command.h"
#include "model/instance.h"

namespace isthmus::dimse {

// One thread at a time. Once something is wrong, the rest of the data set is taken and dropped.
class ActionOperation {
 public:
  struct Answer {
    std::uint16_t status = 0;
    std::string error_comment;  // at most 64 characters, nothing of the request
    // When it was accepted, and its requester wants to be told where it asks: the request, and that
    // nobody else tells it for now.
    std::optional<CommitmentId> commitment;
    std::optional<ReportDesk::Hold> hold;
    Milliseconds same_association{0};
  };

  // `means` outlives it; the command is of a commitment context and announces a data set, or not.
  ActionOperation(Env& env, CommitmentMeans& means, const Origin& origin, const Command& command,
                  std::string_view transfer_syntax_uid, bool has_dataset);
  ~ActionOperation();
  ActionOperation(const ActionOperation&) = delete;
  ActionOperation& operator=(const ActionOperation&) = delete;

  void append(ByteSpan bytes);
  // After the last byte, once. 0000H only when the request is durable; a failure means that no
  // event will come (PS3.4 J.3.2.1.3).
  Answer finish();

 private:
  void check(const Command& command, bool has_dataset);
  void refuse(std::uint16_t status, std::string comment);
  Answer record(dicom::Action action);

  Env& env_;
  CommitmentMeans& means_;
  const Origin& origin_;
  std::optional<Requester> requester_;
  std::optional<dicom::ActionInformation> information_;
  std::int64_t counted_ = 0;  // references of ours in references_in_flight
  std::optional<Answer> refused_;
};

}  // namespace isthmus::dimse
