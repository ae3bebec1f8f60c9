import ArgumentParser
import Benchmark
import Checkpoints
import Configuration
import Foundation
import Numerics
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
    subcommands: [Gemm.self, Step.self, Objective.self, LoaderBench.self, Update.self, WireBench.self])

  package init() {}

  /// What all parts are asked with.
  struct Options: ParsableArguments {
    @Option(help: ArgumentHelp("Threads that compute. (default: one a core)", valueName: "count"))
    var threads: Int?

    @Option(help: ArgumentHelp("Measurements of each side, in turn; the median counts.", valueName: "count"))
    var rounds: Int = 7

    @Flag(help: "Print a JSON array of figures.")
    var json = false

    @OptionGroup var settings: ConfigurationOptions

    var threadCount: Int { threads ?? ProcessInfo.processInfo.activeProcessorCount }

    func validate() throws {
      guard 1...1024 ~= threadCount else { throw ValidationError("--threads must be from 1 to 1024.") }
      guard 1...1000 ~= rounds else { throw ValidationError("--rounds must be from 1 to 1000.") }
    }

    /// The configuration's plan, over one batch of pictures or the data set's; in its compute class's environment.
    func plan(pictures: Int? = nil) throws -> RunPlan {
      let configuration = try RunConfiguration(layers: settings.layers())
      try Relaunch.ensure(ComputeClass(configuration.computeClass))
      return try RunPlan(configuration: configuration, pictures: pictures ?? configuration.batchSize)
    }

    func show(_ figures: [Figure]) throws {
      guard json else { return figures.forEach { print($0) } }
      let encoder = JSONEncoder.readable
      print(String(decoding: try encoder.encode(figures), as: UTF8.self))
    }
  }

  struct Gemm: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Products at the step's own shapes, beside sgemm at 4096^3.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show(MatrixProducts.measure(options.plan(), threads: options.threadCount, rounds: options.rounds))
    }
  }

  struct Step: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "A whole step on ready-made views: the method's operations a second, beside sgemm's.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show([WholeStep.measure(options.plan(), threads: options.threadCount, rounds: options.rounds)])
    }
  }

  struct Objective: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "The block loss and its gradient, beside sgemm.")
    @OptionGroup var options: Options
    func run() throws {
      try options.show([ObjectiveAlone.measure(options.plan(), threads: options.threadCount, rounds: options.rounds)])
    }
  }

  struct LoaderBench: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "loader", abstract: "JPEG files to views, beside decoding alone.")
    @Option(help: ArgumentHelp("Folder of JPEG files.", valueName: "folder"))
    var data: String
    @OptionGroup var options: Options
    func run() throws {
      let data = try DataSet(root: data)
      try options.show([
        Loader.measure(
          options.plan(pictures: data.count), data: data, threads: options.threadCount, rounds: options.rounds)
      ])
    }
  }

  struct Update: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Clipping, optimizer, teacher average and digests, beside a copy.")
    @OptionGroup var options: Options
    func run() throws { try options.show([UpdateAlone.measure(options.plan(), rounds: options.rounds)]) }
  }

  struct WireBench: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "wire", abstract: "Bulk frames over loopback, beside raw ZeroMQ and raw TCP.")
    @OptionGroup var options: Options
    func run() throws { try options.show(LoopbackTraffic.measure(rounds: options.rounds)) }
  }
}
