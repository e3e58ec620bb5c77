#include "datastore/engine/search_columns.h"

#include <algorithm>

namespace isthmus::datastore {
namespace {

constexpr std::size_t kMostWords = 32;

std::string text_of(const nlohmann::json& attributes, const char* keyword) {
  const auto found = attributes.find(keyword);
  return found != attributes.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::vector<std::string> name_words(std::string_view person_name) {
  std::vector<std::string> words;
  while (!person_name.empty() && words.size() < kMostWords) {
    const std::size_t end = std::min(person_name.find_first_of(" ^="), person_name.size());
    std::string word(person_name.substr(0, end));
    person_name.remove_prefix(std::min(end + 1, person_name.size()));
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (!word.empty() && std::ranges::find(words, word) == words.end()) {
      words.push_back(std::move(word));
    }
  }
  return words;
}

Result<void> write_search_columns(sql::Database& database, const std::string& image_set,
                                  const nlohmann::json& attributes) {
  const std::string name = text_of(attributes, "PatientName");
  TRY_ASSIGN(const auto before,
             database.query_text("SELECT patient_name FROM image_sets WHERE id = ?", {image_set}));
  if (before != name) {
    for (const std::string& word : name_words(before.value_or(""))) {
      TRY(
          database.run("DELETE FROM name_words WHERE image_set = ?1 AND word = ?2 AND data_store ="
                       " (SELECT data_store FROM image_sets WHERE id = ?1)",
                       {image_set, word}));
    }
    for (const std::string& word : name_words(name)) {
      TRY(
          database.run("INSERT OR IGNORE INTO name_words (data_store, word, image_set)"
                       " SELECT data_store, ?2, id FROM image_sets WHERE id = ?1",
                       {image_set, word}));
    }
  }
  TRY(database.run(
      "UPDATE image_sets SET patient_name = ?, modality = ?, study_description = ?"
      " WHERE id = ?",
      {name, text_of(attributes, "Modality"), text_of(attributes, "StudyDescription"), image_set}));
  return {};
}

}  // namespace isthmus::datastore
