// Everything behind the A-ASSOCIATE-AC: PDUs from a real socket through the guard, fragments out of
// them, messages out of fragments. What comes of a stream must not depend on how the network cut
// it.
#include "dimse/guard/connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "dimse/session/command.h"
#include "fuzz/fuzz.h"
#include "support/dicom_factory.h"
#include "support/raw_pdu.h"
#include "support/test_env.h"

namespace isthmus::fuzz {
namespace {

using dimse::Fragment;
using dimse::GuardedConnection;
using dimse::MessageAssembler;
using dimse::Refusal;

constexpr std::uint32_t kMaxPduBytes = 1024;  // small, so that it is met often

Env& environment() {
  static test::TestEnv env;
  return env;
}

// A stream that arrives when it is told to.
class Peer {
 public:
  Peer() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0, "a socket pair");
    theirs_ = dimse::Descriptor(ends[0]);
    ours_ = dimse::Descriptor(ends[1]);
    const int room = 1 << 20;
    (void)::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  }

  dimse::Descriptor take_end() { return std::move(ours_); }
  void send(ByteSpan bytes) {
    if (bytes.empty()) return;
    const ssize_t sent = ::send(theirs_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    check(sent == static_cast<ssize_t>(bytes.size()), "the socket takes an input whole");
  }
  void close() { theirs_.reset(); }

 private:
  dimse::Descriptor theirs_, ours_;
};

// What a session does with what arrives, as text.
class Listener {
 public:
  Listener()
      : connection_(environment(), dimse::Channel(peer_.take_end()), {},
                    {.max_pdu_bytes = kMaxPduBytes, .pdu_timeout = Milliseconds(0)}, stop_,
                    [](dimse::Descriptor) {}) {
    dimse::AcceptedContexts accepted{};
    accepted[1] = accepted[3] = accepted[5] = true;
    connection_.accept_contexts(accepted);
  }

  void feed(ByteSpan piece) {
    if (over_) return;
    peer_.send(piece);
    listen();
  }
  std::string finish() {
    peer_.close();
    if (!over_) listen();
    return story_;
  }

 private:
  // Until nothing more is there.
  void listen() {
    while (!over_) {
      switch (connection_.await(Milliseconds(0), false)) {
        case GuardedConnection::Arrival::data:
          take_fragment(connection_.fragment());
          break;
        case GuardedConnection::Arrival::timed_out:
          return;
        case GuardedConnection::Arrival::release:
          end("release");
          break;
        case GuardedConnection::Arrival::aborted:
          end("abort");
          break;
        case GuardedConnection::Arrival::closed:
          end(connection_.is_within_pdu() ? "closed within" : "closed");
          break;
        case GuardedConnection::Arrival::stopping:
          check(false, "nobody stops it");
          break;
        case GuardedConnection::Arrival::refused:
          end(connection_.refusal().why);
          break;
      }
    }
  }

  // How many parts a fragment came in is the network's business: the story has their sum.
  void take_fragment(const Fragment& fragment) {
    const auto verdict = messages_.feed(fragment);
    if (const auto* refusal = std::get_if<Refusal>(&verdict)) {
      command_bytes_ = 0;  // how much of it came before the part that was wrong is no matter
      return end(refusal->why);
    }
    switch (std::get<MessageAssembler::Event>(verdict)) {
      case MessageAssembler::Event::more:
        command_bytes_ += fragment.bytes.size();
        break;
      case MessageAssembler::Event::data:
        dataset_ += as_text(fragment.bytes);
        break;
      case MessageAssembler::Event::data_complete:
        dataset_ += as_text(fragment.bytes);
        tell_parts();
        story_ += "data set ends; ";
        break;
      case MessageAssembler::Event::command_complete:
        command_bytes_ = 0;
        take_command();
        break;
    }
  }

  void take_command() {
    check(messages_.command().size() <= dimse::kMaxCommandBytes, "commands are bounded");
    const auto command = dimse::parse_command(messages_.command());
    if (!command.ok()) return end("malformed command");
    story_ += std::to_string(command->field) + " " + command->affected_sop_instance_uid + "; ";
    check_equal(messages_.between_messages(), !messages_.has_dataset(), "a data set is awaited");
  }

  void tell_parts() {
    story_ += std::to_string(command_bytes_) + " of a command, " + dataset_ + " of a data set; ";
    command_bytes_ = 0;
    dataset_.clear();
  }

  void end(std::string_view why) {
    tell_parts();
    story_ += why;
    over_ = true;
  }

  Peer peer_;
  dimse::StopSignal stop_;
  GuardedConnection connection_;
  MessageAssembler messages_;
  std::size_t command_bytes_ = 0;
  std::string dataset_;
  std::string story_;
  bool over_ = false;
};

std::string story_of(const std::vector<ByteSpan>& pieces) {
  Listener listener;
  for (const ByteSpan piece : pieces) listener.feed(piece);
  return listener.finish();
}

void run(ByteSpan input) {
  silence_dcmtk();
  const Cut cut = read_cut(input);

  const std::string whole = story_of({cut.bytes});

  check_equal(story_of(cut.pieces()), whole, "cut anywhere, it is the same story");
  if (cut.bytes.size() <= 64) {
    check_equal(story_of(single_bytes(cut.bytes)), whole, "byte by byte as well");
  }
}

// A seed of ../shared begins with its A-ASSOCIATE-RQ, which is not this harness's business.
std::string behind_first_pdu(const std::string& stream) {
  if (stream.size() < dimse::kPduHeaderBytes) return stream;
  const auto header = dimse::read_pdu_header(as_bytes(stream).first(dimse::kPduHeaderBytes));
  const std::size_t whole = dimse::kPduHeaderBytes + header.length_bytes;
  return whole < stream.size() ? stream.substr(whole) : stream;
}

std::vector<std::string> seeds() {
  const std::string echo = test::raw_command(test::c_echo_command(1));
  const std::string store =
      test::raw_command(test::c_store_command(2, test::kCtImageStorage, "2.25.1001.1.1"));
  std::vector<std::string> streams{
      test::raw_data_pdu(1, true, true, echo) + test::raw_release_rq(),
      test::raw_data_pdu(3, true, false, store.substr(0, 20)) +
          test::raw_data_pdu(3, true, true, store.substr(20)) +
          test::raw_data_pdu(3, false, false, std::string(700, 'x')) +
          test::raw_data_pdu(3, false, true, "y") + test::raw_release_rq(),
      test::raw_pdu(4, test::raw_pdv(3, true, true, store) + test::raw_pdv(3, false, false, "abc") +
                           test::raw_pdv(3, false, false, "") +
                           test::raw_pdv(3, false, true, "defg")) +
          test::raw_pdu(4, test::raw_pdv(1, true, true, echo)) + test::raw_abort(),
  };
  for (const std::string& stream : shared_files("dicom/pdu-seeds", 16 * KiB)) {
    streams.push_back(behind_first_pdu(stream));
  }
  std::vector<std::string> seeds;
  for (const std::string& stream : streams) {
    seeds.push_back(cut_head({}) + stream);
    seeds.push_back(cut_head({5, 1, 300, 7}) + stream);
  }
  return seeds;
}

}  // namespace

Harness connection_harness() {
  return {"connection", run, 16 * KiB, seeds};
}

}  // namespace isthmus::fuzz
