import Foundation
import Planning
import Testing
import Training

/// What more machines are worth, and what those that fail cost.
struct DeploymentSweepTests {
  /// A step of four slices; nothing but computing takes time.
  private static func deployment() -> Deployment {
    var deployment = Deployment()
    (deployment.linkBitsPerSecond, deployment.copyBytesPerSecond) = (1e15, 1e18)
    deployment.sgemmPerSecond = 1e9
    return deployment
  }

  private static func aSlice(_ definition: RunDefinition) -> Double {
    2 * definition.operationsPerImage / (1e9 * Deployment.usualEfficiency)
  }

  @Test func eachNumberOfWorkersIsPlannedWithAndWithoutExchange() throws {
    let definition = try smallDefinition()
    var said: [Int] = []
    let sweep = try DeploymentSweep(definition, on: Self.deployment(), workers: [1, 2, 4]) { said.append($0.workers) }
    #expect(said == [1, 2, 4] && sweep.points.map(\.workers) == [1, 2, 4])
    for point in sweep.points {
      var deployment = Self.deployment()
      deployment.workers = point.workers
      let plan = DeploymentPlan(definition, on: deployment)
      #expect(point.exchange.imagesPerSecond == plan.imagesPerSecond)
      #expect(point.exchange.efficiency == plan.imagesPerSecond / plan.imagesPerSecondOfComputing)
      #expect(point.star.imagesPerSecond > 0 && point.failingStar == nil && point.failingExchange == nil)
    }
  }

  /// The slice that was lost begins again on the first thread that is free: the step takes as long as two.
  @Test func aFailureInTheMiddleOfAStepCostsTheSliceThatBeginsAgain() throws {
    let definition = try smallDefinition()
    let perHour = 0.1 * 3600 / 4 / Self.aSlice(definition)
    let sweep = try DeploymentSweep(
      definition, on: Self.deployment(), workers: [4],
      failures: DeploymentSweep.Failures(perHour: perHour, awaySeconds: 0))
    for (calm, failing) in [
      (sweep.points[0].star, sweep.points[0].failingStar), (sweep.points[0].exchange, sweep.points[0].failingExchange),
    ] {
      let left = try #require(failing).imagesPerSecond / calm.imagesPerSecond
      #expect(abs(left - 0.9) < 0.01, "\(left)")
    }
  }

  /// Four slices take two workers two rounds, and one worker four.
  @Test(arguments: [(1, 0.9), (2, 0.9)]) func whoeverIsAwayDoesNothing(workers: Int, left: Double) throws {
    let definition = try smallDefinition()
    let sweep = try DeploymentSweep(
      definition, on: Self.deployment(), workers: [workers],
      failures: DeploymentSweep.Failures(perHour: 1, awaySeconds: 360))
    let point = sweep.points[0]
    let failing = try #require(point.failingExchange).imagesPerSecond
    #expect(abs(failing / point.exchange.imagesPerSecond - left) < 0.01)
  }

  @Test(arguments: [false, true]) func thePlotHasALineForEachRateInBothPanels(fail: Bool) throws {
    let sweep = try DeploymentSweep(
      try smallDefinition(), on: Self.deployment(), workers: [1, 3, 4],
      failures: fail ? DeploymentSweep.Failures(perHour: 0.01, awaySeconds: 300) : nil)
    let svg = SweepPlot(sweep).svg
    let points = svg.components(separatedBy: "<polyline").dropFirst().compactMap {
      $0.components(separatedBy: "points=\"").last?.prefix { $0 != "\"" }
    }
    #expect(points.count == (fail ? 8 : 4) && svg.components(separatedBy: "<circle").count - 1 == 3 * points.count)
    for line in points {
      let places = line.split(separator: " ").map { $0.split(separator: ",").compactMap { Double($0) } }
      #expect(places.count == 3 && places.allSatisfy { $0.count == 2 && 48...308 ~= $0[1] }, "\(line)")
      #expect(places[0][0] < places[1][0] && places[1][0] < places[2][0])
    }
    #expect(svg.contains("prefers-color-scheme: dark") && !svg.contains("nan") && !svg.contains("inf\""))
  }
}
