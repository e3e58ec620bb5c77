// Counters, gauges and histograms in Prometheus' text form (prometheus-cpp behind our types) that
// puts "isthmus_" before each name. A name ends in its unit; labels are bounded sets that we chose.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace isthmus {

using MetricLabels = std::initializer_list<std::pair<std::string, std::string>>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
  virtual double value() const = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
  virtual double value() const = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

// Asking twice for the same name and labels gives the same object; objects live as long as the
// Metrics. Any thread. Look a metric up once and keep the reference.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual Counter& counter(std::string_view name, std::string_view help,
                           MetricLabels labels = {}) = 0;
  virtual Gauge& gauge(std::string_view name, std::string_view help, MetricLabels labels = {}) = 0;
  // Buckets are seconds, from 1 ms to 60 s.
  virtual Histogram& histogram(std::string_view name, std::string_view help,
                               MetricLabels labels = {}) = 0;
  // Called before each text(), to bring gauges up to date from what they describe.
  virtual void on_collect(std::function<void()> refresh) = 0;
  // The exposition text, format version 0.0.4.
  virtual std::string text() = 0;
};

std::unique_ptr<Metrics> make_metrics();

}  // namespace isthmus
