import Configuration
import Training

/// A run planned for one number of workers after the other: what more machines are worth, with all traffic through the
/// coordinator and with weights and gradients among the workers.
public struct DeploymentSweep: Sendable, Encodable {
  /// What so many workers come to.
  public struct Rate: Sendable, Encodable {
    public let imagesPerSecond: Double
    /// Of what their processors could do.
    public let efficiency: Double
  }

  public struct Point: Sendable, Encodable {
    public let workers: Int
    /// `exchange: never`.
    public let star: Rate
    /// `exchange: automatic`.
    public let exchange: Rate
    /// The same two where machines fail; null where none do.
    public let failingStar: Rate?
    public let failingExchange: Rate?
  }

  /// How often machines fail.
  public struct Failures: Sendable, Encodable {
    /// Failures of a machine in an hour.
    public let perHour: Double
    /// Seconds until it is back.
    public let awaySeconds: Double

    public init(perHour: Double, awaySeconds: Double) {
      self.perHour = perHour
      self.awaySeconds = awaySeconds
    }
  }

  /// Nil where no machine fails.
  public let failures: Failures?
  public let points: [Point]

  /// - Parameters:
  ///   - workers: how many, each time; at least 1.
  ///   - planned: takes each as soon as it is there.
  public init(
    _ definition: RunDefinition, on deployment: Deployment, workers: [Int], failures: Failures? = nil,
    planned: (Point) throws -> Void = { _ in }
  ) throws {
    self.failures = failures
    points = try workers.map { count in
      var deployment = deployment
      deployment.workers = count
      func rates(_ exchange: WeightExchange) throws -> (calm: Rate, failing: Rate?) {
        var configuration = definition.configuration
        configuration.exchange = exchange
        let definition = try RunDefinition(configuration: configuration, pictures: definition.pictures)
        let plan = DeploymentPlan(definition, on: deployment)
        return (
          Self.rate(plan.imagesPerSecond, of: plan),
          failures.map { Self.rate(Self.imagesPerSecond(definition, deployment, plan, with: $0), of: plan) }
        )
      }
      let (star, exchange) = (try rates(.never), try rates(.automatic))
      let point = Point(
        workers: count, star: star.calm, exchange: exchange.calm, failingStar: star.failing,
        failingExchange: exchange.failing)
      try planned(point)
      return point
    }
  }

  private static func rate(_ imagesPerSecond: Double, of plan: DeploymentPlan) -> Rate {
    Rate(imagesPerSecond: imagesPerSecond, efficiency: imagesPerSecond / plan.imagesPerSecondOfComputing)
  }

  /// A failure costs what its step takes longer, and then a worker until that is back.
  private static func imagesPerSecond(
    _ definition: RunDefinition, _ deployment: Deployment, _ plan: DeploymentPlan, with failures: Failures
  ) -> Double {
    let failuresASecond = Double(deployment.workers) * failures.perHour / 3600
    var (longer, fewer) = (0.0, 0.0)
    if deployment.workers > 1 {
      let fetches = DeploymentSizes(definition, deployment).fetches
      longer = max(0, StepSimulation.secondsOfAFailure(definition, on: deployment, fetches) - plan.stepSeconds)
      var others = deployment
      others.workers -= 1
      fewer = DeploymentPlan(definition, on: others).imagesPerSecond
    }
    let missed = longer * plan.imagesPerSecond + failures.awaySeconds * max(0, plan.imagesPerSecond - fewer)
    return max(0, plan.imagesPerSecond - failuresASecond * missed)
  }
}
