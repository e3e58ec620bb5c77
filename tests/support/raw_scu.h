// A DICOM sender that sends what it is told, byte for byte, in any transfer syntax: nothing is
// parsed, decoded or checked, so that it can send what DCMTK cannot (HTJ2K, JPEG XL) and what
// nobody should.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/env.h"
#include "support/raw_pdu.h"

namespace isthmus::test {

// How a raw client speaks TLS. It is lax on purpose: it shows weak certificates, and does not look
// at the server's.
struct RawTls {
  std::string certificate_pem = {};  // shown when asked; empty: none
  std::string key_pem = {};
  int least_version = 0;  // 0x0301 is TLS 1.0; 0: OpenSSL's
  int most_version = 0;
  std::string suites = {};  // of TLS 1.2, OpenSSL's names
};

// A connected TCP socket with TCP_NODELAY. One thread at a time.
class RawSocket {
 public:
  // "raw.connect".
  static Result<std::unique_ptr<RawSocket>> connect(const std::string& host, std::uint16_t port);
  ~RawSocket();

  // The TLS handshake as client: "raw.tls" when it failed on our side. With TLS 1.3 the server's
  // refusal is only seen by the first receive.
  Result<void> secure(const RawTls& tls);
  std::string tls_version() const;
  std::string tls_server_fingerprint() const;  // SHA-256, hex
  bool renegotiate();                          // TLS 1.2; false: the other side would not
  int descriptor() const { return fd_; }

  // "raw.closed" when the other side is gone, "raw.timeout" when it takes nothing for a minute.
  Result<void> send(std::string_view bytes);
  // What follows goes out together with it.
  Result<void> send_with_more(std::string_view bytes);
  // One after the other, in as few system calls as the kernel takes, and without copying them.
  Result<void> send_gathered(std::vector<std::string_view> pieces);
  // The next whole PDU with its header. "raw.timeout", "raw.closed".
  Result<std::string> receive_pdu(Milliseconds timeout);
  // Everything until the other side closes; what came until then when it does not in time.
  std::string receive_until_closed(Milliseconds timeout);
  bool is_closed_within(Milliseconds timeout);
  void half_close();

 private:
  struct Tls;
  explicit RawSocket(int fd);
  Result<void> send_all(std::string_view bytes, int flags);
  Result<bool> receive_some(std::chrono::steady_clock::time_point until);  // false: closed

  int fd_;
  std::unique_ptr<Tls> tls_;
  std::string received_;
};

struct RawResponse {
  std::uint16_t status = 0xffff;
  RawCommand command;
  std::chrono::microseconds took{0};  // from the last byte of the request
};

// One association. One thread at a time.
class RawScu {
 public:
  // "raw.rejected" with result/source/reason in its message, "raw.aborted", and those of RawSocket.
  static Result<std::unique_ptr<RawScu>> associate(const std::string& host, std::uint16_t port,
                                                   const RawAssociate& request,
                                                   Milliseconds timeout = Milliseconds(30'000),
                                                   const RawTls* tls = nullptr);

  // Accepted contexts and their transfer syntax.
  const std::map<int, std::string>& accepted() const { return accepted_; }
  // Result of each context: 0 is accepted (PS3.8 table 9-18).
  const std::map<int, int>& results() const { return results_; }
  std::uint32_t peer_max_pdu_bytes() const { return peer_max_pdu_bytes_; }
  // The content of the A-ASSOCIATE-AC's sub-items of the user information, by type.
  const std::multimap<int, std::string>& user_items() const { return user_items_; }

  Result<RawResponse> echo(int context_id);
  // Without copying the data set: command and data go out together.
  Result<RawResponse> store(int context_id, std::string_view sop_class_uid,
                            std::string_view sop_instance_uid, std::string_view dataset);
  // The same in steps.
  Result<void> send_command(int context_id, const RawCommand& command);
  Result<void> send_data(int context_id, std::string_view piece, bool last);
  Result<RawResponse> receive_response();
  Result<void> release();
  RawSocket& socket() { return *socket_; }
  std::uint16_t next_message_id() { return ++message_id_; }
  // How large data PDUs are made, if the peer takes them.
  void set_pdu_bytes(std::uint32_t bytes) { pdu_bytes_ = bytes; }

 private:
  RawScu(std::unique_ptr<RawSocket> socket, Milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}
  void read_accept(std::string_view pdu);
  std::size_t pdv_room() const;  // of data in one PDU

  std::unique_ptr<RawSocket> socket_;
  Milliseconds timeout_;
  std::map<int, std::string> accepted_;
  std::map<int, int> results_;
  std::multimap<int, std::string> user_items_;
  std::uint32_t peer_max_pdu_bytes_ = 0;
  std::uint32_t pdu_bytes_ = 131072;
  std::uint16_t message_id_ = 0;
};

// A Part 10 file as it has to be sent.
struct RawFile {
  std::string sop_class_uid;     // of the data set, else of the file meta information
  std::string sop_instance_uid;  // likewise
  std::string transfer_syntax_uid;
  std::string dataset;  // every byte after group 0002; an odd deflated one padded to even length
};
// "raw.not_part10" when it has no file meta information that could be read.
Result<RawFile> read_raw_file(const std::string& path);
// Puts another SOP Instance UID of the same length where (0008,0018) has the old one. False when it
// was not found (deflated data sets): the file is unchanged then.
bool replace_sop_instance_uid(RawFile& file, const std::string& uid);

}  // namespace isthmus::test
