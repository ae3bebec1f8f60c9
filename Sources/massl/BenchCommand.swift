import ArgumentParser
import Benchmark
import Checkpoints
import Configuration
import Foundation
import Machine
import Numerics
import Runs
import Services
import Telemetry
import Training
import Vision

/// `massl bench`: how fast each part is on this machine, beside the most that the machine could do.
package struct BenchCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure a part beside its ceiling, both in the same run.",
    discussion: """
      Absolute figures are of this machine at this moment; the ratio to the ceiling is what can be compared.

        massl bench step --config Recipes/cifar10.yaml --threads 2
        massl bench gemm --arch vit_small --json
      """,
    subcommands: [
      Gemm.self, Step.self, Objective.self, LoaderBench.self, Update.self, WireBench.self, MemoryBench.self,
    ])

  package init() {}

  /// What all parts are asked with.
  struct Options: ParsableArguments {
    @Option(
      help: ArgumentHelp("Threads that compute. (default: one for each processor it may use)", valueName: "count"))
    var threads: Int?

    @Option(help: ArgumentHelp("Measurements of each side, in turn; the median counts.", valueName: "count"))
    var rounds: Int = 7

    @Flag(help: "Print a JSON array of figures.")
    var json = false

    @OptionGroup var settings: ConfigurationOptions

    var threadCount: Int { threads ?? Allowance.current.processors.usable }

    func validate() throws {
      guard 1...1024 ~= threadCount else { throw ValidationError("--threads must be from 1 to 1024.") }
      guard 1...1000 ~= rounds else { throw ValidationError("--rounds must be from 1 to 1000.") }
    }

    /// The configuration's definition, over one batch of pictures or the data set's; in its compute class's environment.
    func definition(pictures: Int? = nil) throws -> RunDefinition {
      let configuration = try RunConfiguration(layers: settings.layers()).here
      try Relaunch.ensure(configuration)
      return try RunDefinition(configuration: configuration, pictures: pictures ?? configuration.batchSize)
    }

    func show(_ figures: [Figure]) throws {
      if json {
        try StandardOutput.write(json: String(decoding: JSONEncoder.readable.encode(figures), as: UTF8.self))
      } else {
        for figure in figures { try StandardOutput.write("\(figure)") }
      }
    }
  }

  struct Gemm: TakesThreads {
    static let configuration = CommandConfiguration(
      abstract: "Products at the step's own shapes, beside sgemm at 4096^3.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show(
        MatrixProducts.measure(options.definition(), threads: options.threadCount, rounds: options.rounds))
    }
  }

  struct Step: TakesThreads {
    static let configuration = CommandConfiguration(
      abstract: "A whole step on ready-made views: the method's operations a second, beside sgemm's.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show([WholeStep.measure(options.definition(), threads: options.threadCount, rounds: options.rounds)])
    }
  }

  struct Objective: TakesThreads {
    static let configuration = CommandConfiguration(
      abstract: "The block loss and its gradient, beside sgemm.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show([
        ObjectiveAlone.measure(options.definition(), threads: options.threadCount, rounds: options.rounds)
      ])
    }
  }

  struct LoaderBench: TakesThreads {
    static let configuration = CommandConfiguration(
      commandName: "loader", abstract: "JPEG files to views, beside decoding alone.")
    @Option(help: ArgumentHelp("JPEG pictures: a folder, a list, or tars.", valueName: "pictures"))
    var data: String
    @OptionGroup var options: Options
    func run() throws {
      let data = try DataSet(root: data)
      try options.show([
        Loader.measure(
          options.definition(pictures: data.count), data: data, threads: options.threadCount, rounds: options.rounds)
      ])
    }
  }

  struct Update: TakesThreads {
    static let configuration = CommandConfiguration(
      abstract: "Clipping, optimizer, teacher average and digests, beside a copy.")
    @OptionGroup var options: Options
    func run() throws { try options.show([UpdateAlone.measure(options.definition(), rounds: options.rounds)]) }
  }

  struct WireBench: TakesThreads {
    static let configuration = CommandConfiguration(
      commandName: "wire", abstract: "Bulk frames over loopback, beside raw ZeroMQ and raw TCP.")
    @OptionGroup var options: Options
    func run() throws { try options.show(LoopbackTraffic.measure(rounds: options.rounds)) }
  }
  struct MemoryBench: TakesThreads {
    static let configuration = CommandConfiguration(
      commandName: "memory", abstract: "Rows that memory shards serve over loopback, beside raw ZeroMQ.",
      discussion: """
        Shards' directories are filled with so many rows first; one that is given is kept, and used again by the next call
        with the same shape. With --data a run is made of it, DIRECTORY/run, and nothing is measured: 'massl coordinator
        --run DIRECTORY/run' trains on it with 'massl memory --directory DIRECTORY/shard-0' and so on.

          massl bench memory
          massl bench memory --fill 16M --shards 2 --directory /data/filled --memory-dtype fp16 --data PICTURES
        """)
    @Option(
      help: ArgumentHelp(
        "Rows, rounded up to whole files; also memory_size. K, M and G are powers of 1024.", valueName: "rows"))
    var fill = RowCount(rows: 1 << 18)
    @Option(help: ArgumentHelp("Memory shards, which have the rows in turn.", valueName: "count"))
    var shards: Int = 1
    @Option(help: ArgumentHelp("Where their rows are, kept. (default: a temporary folder)", valueName: "folder"))
    var directory: String?
    @Option(help: ArgumentHelp("Pictures: make a run on them that has these rows.", valueName: "pictures"))
    var data: String?
    @OptionGroup var options: Options

    func validate() throws {
      guard 1...64 ~= shards else { throw ValidationError("--shards must be from 1 to 64.") }
      if data != nil, directory == nil { throw ValidationError("--data makes a run: say where, with --directory.") }
    }

    func run() throws {
      let configuration = try RunConfiguration(layers: options.settings.layers()).here
      try Relaunch.ensure(configuration)
      let temporary = FileManager.default.temporaryDirectory.path + "/massl-bench-memory-\(getpid())"
      defer { if directory == nil { try? FileManager.default.removeItem(atPath: temporary) } }
      if let data, let directory {
        let memory = try FilledMemory(
          configuration, rows: fill.rows, shards: shards, in: directory, threads: options.threadCount)
        return try memory.writeRun(on: DataSet(root: data, index: nil))
      }
      try options.show(
        RowServing.measure(
          configuration, rows: fill.rows, shards: shards, in: directory ?? temporary, threads: options.threadCount,
          rounds: options.rounds))
    }
  }
}

/// So many rows, as people write them: 65536, 256K, 16M.
package struct RowCount: ExpressibleByArgument, Equatable {
  package let rows: Int

  package init(rows: Int) { self.rows = rows }

  /// Nil if it is no positive number with K, M, G or nothing behind it, or more than 2^48.
  package init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let units = ["": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    guard let count = Int(digits), let unit = units[String(argument.dropFirst(digits.count))] else { return nil }
    let (rows, overflows) = count.multipliedReportingOverflow(by: unit)
    guard !overflows, 1...(1 << 48) ~= rows else { return nil }
    self.rows = rows
  }

  package var defaultValueDescription: String { rows % 1024 == 0 ? "\(rows >> 10)K" : "\(rows)" }
}
