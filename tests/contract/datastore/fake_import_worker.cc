// A stand-in for isthmus-import-worker that does what the file in hand says: files hold the answer
// to give, or name a way to misbehave. For tests of who talks to workers.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace {

// What the real one would say of some keywords.
nlohmann::json dictionary(const nlohmann::json& keywords) {
  struct Known {
    const char *keyword, *vr, *level;
    bool several;
  };
  constexpr Known kKnown[] = {
      {"PatientID", "LO", "patient", false},
      {"PatientName", "PN", "patient", false},
      {"PatientBirthDate", "DA", "patient", false},
      {"StudyInstanceUID", "UI", "study", false},
      {"StudyID", "SH", "study", false},
      {"StudyDate", "DA", "study", false},
      {"StudyDescription", "LO", "study", false},
      {"AccessionNumber", "SH", "study", false},
      {"SeriesInstanceUID", "UI", "series", false},
      {"SeriesDescription", "LO", "series", false},
      {"SeriesNumber", "IS", "series", false},
      {"Modality", "CS", "series", false},
      {"SOPInstanceUID", "UI", "instance", false},
      {"InstanceNumber", "IS", "instance", false},
      {"ImageType", "CS", "instance", true},
      {"SourceImageSequence", "SQ", "instance", false},
      {"Rows", "US", "instance", false},
  };
  nlohmann::json elements = nlohmann::json::object();
  for (const Known& known : kKnown) {
    for (const auto& keyword : keywords) {
      if (keyword != known.keyword) continue;
      elements[known.keyword] = {
          {"vr", known.vr}, {"several", known.several}, {"level", known.level}};
    }
  }
  return {{"ok", true}, {"elements", elements}};
}

// As the real one says it: the document behind a tab.
std::string answer_in(const std::string& content) {
  auto answer = nlohmann::json::parse(content, nullptr, false);
  if (!answer.is_object() || !answer.contains("metadata")) return content;
  nlohmann::json document;
  for (const char* name :
       {"metadata", "transferSyntaxUID", "frames", "rows", "columns", "datasetOffset", "bulk"}) {
    if (!answer.contains(name)) continue;
    document[name] = answer[name];
    if (name != std::string("datasetOffset")) answer.erase(name);
  }
  return answer.dump() + '\t' + document.dump();
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto request = nlohmann::json::parse(line, nullptr, false);
    if (request.contains("keywords")) {
      std::cout << dictionary(request["keywords"]) << std::endl;
      continue;
    }
    if (const char* log = std::getenv("FAKE_WORKER_LOG")) {
      std::ofstream(log, std::ios::app) << request.value("path", "") << '\n';
    }
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
      std::cout << answer_in(content) << std::endl;
    }
  }
  return 0;
}
