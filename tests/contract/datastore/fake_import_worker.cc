// A stand-in for isthmus-import-worker that does what the file in hand says: files hold the answer
// to give, or name a way to misbehave. For tests of who talks to workers.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto request = nlohmann::json::parse(line, nullptr, false);
    std::ifstream file(request.value("path", ""), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    const std::string content = text.str();
    if (content == "crash") {
      signal(SIGSEGV, SIG_DFL);  // sanitizers catch it and leave with an exit code instead
      raise(SIGSEGV);
    }
    if (content == "killed") raise(SIGKILL);
    if (content == "leave") return 3;
    if (content == "hang") pause();
    if (content == "babble") {
      const std::string noise(1 << 20, 'x');
      while (write(STDOUT_FILENO, noise.data(), noise.size()) > 0) {
      }
      return 1;
    }
    if (content == "nonsense") {
      std::cout << "neither JSON nor anything" << std::endl;
    } else {
      std::cout << content << std::endl;
    }
  }
  return 0;
}
