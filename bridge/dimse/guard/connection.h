// The transport connection that DCMTK is given, and the only reader of the channel. DCMTK reads
// what it needs to set an association up and to release it, whole and examined PDUs; messages never
// pass through it: await() gives their fragments as they come, within limits and times. It also
// cures the stall of senders that leave Nagle's algorithm on (MEASURED.md sections 0 and 12).
#pragma once

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmnet/dcmtrans.h>

#include <atomic>
#include <functional>

#include "base/env.h"
#include "dimse/guard/channel.h"
#include "dimse/guard/pdu_stream.h"

namespace isthmus::dimse {

// Tells every connection that the receiver stops: those between two messages end at once, those
// within one at `abort_at`. Set abort_at first, then make `event` readable for good.
struct StopSignal {
  Descriptor event;  // eventfd
  std::atomic<SteadyTime> abort_at{SteadyTime::max()};
};

struct ConnectionOptions {
  std::uint32_t max_pdu_bytes = 131072;
  Milliseconds pdu_timeout{60'000};
  bool quick_ack = true;
};

// One thread at a time. Owned by DCMTK's association once that was received.
class GuardedConnection : public DcmTransportConnection {
 public:
  enum class Arrival {
    data,     // see fragment()
    release,  // an A-RELEASE-RQ, now readable by DCMTK
    aborted,  // an A-ABORT came; nothing is readable
    closed,   // the peer is gone, or the network failed
    timed_out,
    stopping,
    refused,  // see refusal(): the peer broke the protocol
  };

  // `first_pdu` is what DCMTK reads first, before anything of the channel. `hand_back` gets the
  // socket when DCMTK closes the connection, the end of our stream sent: to wait for the peer to
  // close.
  GuardedConnection(Env& env, Channel channel, Bytes first_pdu, ConnectionOptions options,
                    const StopSignal& stop, std::function<void(Descriptor)> hand_back);
  ~GuardedConnection() override;

  // No wait, for bytes or for room to send, goes on beyond it. The session moves it.
  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  void accept_contexts(const AcceptedContexts& accepted) { stream_.accept_contexts(accepted); }
  // Waits up to `first_byte_within` for a PDU to begin, then up to the PDU time-out for its end;
  // what happens between two calls does not count. `between_messages`: stopping is reported at
  // once.
  Arrival await(Milliseconds first_byte_within, bool between_messages);
  // After `data`: a part of a message (guard/pdu_stream.h). Its bytes are valid until the next
  // await().
  const Fragment& fragment() const { return fragment_; }
  const Refusal& refusal() const { return refusal_; }
  // After `closed`: "closed", or what TLS found wrong (tls/session.h).
  const char* why_closed() const;
  // Some bytes of a PDU came, and not all.
  bool is_within_pdu() const { return stream_.is_within_pdu() || unread() > 0; }
  // Writing failed because the peer took nothing, or too little, until its time was over.
  bool gave_up_writing() const { return gave_up_writing_; }
  // Sends bytes of ours past DCMTK: an A-ABORT. Failing is nobody's business any more.
  void send_last(const Bytes& pdu);

  OFCondition serverSideHandshake() override;
  OFCondition clientSideHandshake() override;
  OFCondition renegotiate(const char* suite) override;
  // Only what was checked; never touches the channel.
  ssize_t read(void* into, size_t count) override;
  // All of it, or -1 when the peer did not take it within the PDU time-out.
  ssize_t write(void* from, size_t count) override;
  void close() override;
  void closeTransportConnection() override;
  unsigned long getPeerCertificateLength() override { return 0; }
  unsigned long getPeerCertificate(void*, unsigned long) override { return 0; }
  OFBool networkDataAvailable(int timeout) override;
  OFBool isTransparentConnection() override { return OFTrue; }
  OFString& dumpConnectionParameters(OFString& text) override;

 private:
  std::optional<Arrival> examine();  // of what is buffered; nothing: more bytes are needed
  Channel::Io fill();
  std::optional<Arrival> wait(SteadyTime until, short events, bool between_messages);
  bool write_all(ByteSpan bytes);
  std::size_t unread() const { return end_ - begin_; }

  Env& env_;
  Channel channel_;
  const ConnectionOptions options_;
  const StopSignal& stop_;
  std::function<void(Descriptor)> hand_back_;
  SteadyTime deadline_ = SteadyTime::max();
  PduStream stream_;
  Fragment fragment_;
  Refusal refusal_;
  Milliseconds pdu_time_left_;  // to the end of the PDU that began, or for the next one
  bool gave_up_writing_ = false;
  Bytes for_dcmtk_;  // that it may read
  Bytes held_;       // the header of a PDU that DCMTK writes, until its content follows
  Bytes buffer_;     // bytes from the channel: [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace isthmus::dimse
