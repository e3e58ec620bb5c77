// What the control calls of the command line share: the token, and answers in JSON.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/http.h"
#include "http/router.h"

namespace isthmus::api {

// RFC 9457 problem document; `code` is the stable error code.
http::Response problem(int status, const Error& error);

// The action of a control call: 401 without the token, else `act` on the body (64 KiB at most).
http::RouteAction control_call(std::string token,
                               std::function<http::Response(const std::string& body)> act);

}  // namespace isthmus::api
