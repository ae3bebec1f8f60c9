import ArgumentParser
import Checkpoints
import Configuration
import Durability
import Evaluation
import Foundation
import Networks
import Numerics
import Training
import Vision

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Says how good frozen features are.", subcommands: [KNN.self])

  struct KNN: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "knn",
      abstract: "k-NN accuracy of the teacher's features, beside an untrained network's and raw pixels'.",
      discussion: "Weighted vote of the k nearest pictures by cosine, weight exp(similarity / 0.07).")

    @Option(name: .customLong("run"), help: "The run directory; its newest whole checkpoint is evaluated.")
    var runDirectory: String

    @Option(help: "Labelled pictures to vote, a folder per class.")
    var train: String

    @Option(help: "Labelled pictures to classify, a folder per class.")
    var test: String

    @Option(help: "Neighbours that vote.")
    var k = 20

    @Option(help: "Every n-th picture of --train is used.")
    var trainEvery = 1

    @Option(help: "Every n-th picture of --test is used.")
    var testEvery = 1

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      guard k > 0, trainEvery > 0, testEvery > 0 else {
        throw ValidationError("--k, --train-every and --test-every are at least 1.")
      }
    }

    func run() throws {
      let code = try reporting {
        let (step, plan, teacher) = try newestTeacher()
        let untrained = initialParameters(layout: plan.layout, seed: plan.configuration.seed)
        let sources: [(String, Features.Source)] = [
          ("teacher", .network(plan.architecture, teacher)), ("untrained", .network(plan.architecture, untrained)),
          ("pixels", .pixels(side: plan.architecture.imageSize)),
        ]
        let (bank, bankClasses, names) = try labelled(train, every: trainEvery)
        let (queries, queryClasses, queryNames) = try labelled(test, every: testEvery)
        guard names == queryNames else {
          throw EvaluationError.otherClasses(train: train, test: test)
        }
        var results: [(String, Double)] = []
        for (name, source) in sources {
          let neighbors = NearestNeighbors(
            bank: try Features.extract(source, of: bank.1, in: bank.0), classes: bankClasses, classCount: names.count)
          let accuracy = neighbors.accuracy(
            of: try Features.extract(source, of: queries.1, in: queries.0), classes: queryClasses, k: k)
          results.append((name, accuracy))
        }
        if json {
          let fields = results.map { "\"\($0)\": \($1)" }.joined(separator: ", ")
          print("{\"step\": \(step), \"k\": \(k), \(fields)}")
        } else {
          print("k-NN accuracy at step \(step), k \(k), \(bank.1.count) pictures vote, \(queries.1.count) asked:")
          for (name, accuracy) in results { print(String(format: "  %@ %.3f", name, accuracy)) }
        }
        return ExitCode.success
      }
      throw code
    }

    private func newestTeacher() throws -> (step: Int, plan: RunPlan, teacher: FloatBuffer) {
      let storage = FileStorage()
      let (checkpoint, damaged) = try CheckpointDirectory(runDirectory + "/checkpoints", in: storage).newestWhole()
      for error in damaged { printLog(.warning, "\(error)") }
      guard let checkpoint else { throw EvaluationError.noCheckpoint(runDirectory) }
      let manifest = checkpoint.manifest
      let layer = try ConfigurationLayer(recipe: manifest.configuration, file: checkpoint.path)
      let plan = try RunPlan(configuration: RunConfiguration(layers: [layer]), pictures: manifest.data.count)
      let file = try SafetensorsFile(checkpoint.path + "/" + Checkpoint.teacherFile, in: storage)
      return (manifest.step, plan, try file.parameters(plan.layout))
    }

    private func labelled(_ root: String, every: Int) throws -> ((DataSet, [Int]), [Int], [String]) {
      let dataSet = try DataSet(root: root)
      guard let labels = dataSet.labels else { throw EvaluationError.noClasses(root) }
      let indices = Array(stride(from: 0, to: dataSet.count, by: every))
      return ((dataSet, indices), indices.map { labels.classes[$0] }, labels.names)
    }
  }
}

/// Why features cannot be evaluated.
enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noCheckpoint(String)
  case noClasses(String)
  case otherClasses(train: String, test: String)

  var description: String {
    switch self {
    case .noCheckpoint(let run): "\(run) holds no whole checkpoint yet. Give a run that has trained for a while."
    case .noClasses(let root): "\(root) has no classes: k-NN wants a folder per class."
    case .otherClasses(let train, let test):
      "\(train) and \(test) have folders of other names, so their classes differ. Give two parts of one data set."
    }
  }
}
