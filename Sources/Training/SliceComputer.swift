import Configuration
import MemoryBank
import Networks
import Numerics
import Objective
import Slices
import Vision

/// Computes slices, one at a time, on the thread that owns it: JPEG bytes, weights and memory blocks in, gradient,
/// new memory rows and loss out.
///
/// The result is a pure function of (configuration, step, slice, weights, blocks, bytes of the pictures). All memory is
/// sized once. Student views run in groups, the two global ones first, then the local ones a few at a time:
///
///     pixels     view-major: row v * b + i is view v of the slice's picture i
///     teacher    global views -> features -> head -> embeddings [2 b, D]
///     student    each group:  features -> head -> embeddings -> loss -> head back -> backbone back
///
/// With BatchNorm the head sees all views of the slice at once, so its group is the slice: features of all groups
/// first, then head, loss and head back, then each group's backbone back.
public final class SliceComputer {
  public let definition: RunDefinition

  private let backbone: Backbone
  private let head: ProjectionHead
  private var sampler: ViewSampler
  private var loss: ConsistencyLoss
  private var koleo: KoLeo?

  private let groups: [ViewGroup]
  private let teacherWorkspace: BackboneWorkspace
  private let teacherHead: HeadWorkspace
  /// All views at once with BatchNorm, the largest group's without.
  private let studentHead: HeadWorkspace

  /// `[2 b, D]` and the like; b images a slice, V views.
  private let teacherFeatures: Matrix
  private let teacherEmbeddings: Matrix
  private let features: Matrix
  private let featureGradient: Matrix
  private let embeddings: Matrix
  private let embeddingGradient: Matrix
  private let studentStatistics: FloatBuffer?
  private let teacherStatistics: FloatBuffer?
  /// Only while `computeWatching` runs.
  private var watch: NotFiniteWatch?

  /// Neighbouring views of one size that pass the backbone together.
  private struct ViewGroup {
    let views: Range<Int>
    /// `[views * b, 3 * side * side]`.
    let pixels: Matrix
    let workspace: BackboneWorkspace
  }

  /// - Throws: `NetworkError` if patches do not divide a view's side.
  public init(_ definition: RunDefinition) throws {
    self.definition = definition
    let configuration = definition.configuration
    let architecture = definition.architecture
    let batch = configuration.sliceSize
    backbone = Backbone(architecture)
    head = ProjectionHead(architecture)
    sampler = ViewSampler(settings: ViewSettings(configuration), seed: configuration.seed)
    loss = ConsistencyLoss(
      shape: definition.lossShape, studentTemperature: configuration.studentTemp, precision: definition.precision)
    koleo = configuration.koleoWeight > 0 ? KoLeo(batch: batch, globalBatch: configuration.batchSize) : nil

    groups = try Self.makeGroups(definition)
    let views = configuration.viewsPerImage
    let largest = configuration.useBNInHead ? views : groups.map(\.views.count).max()!
    teacherWorkspace = try BackboneWorkspace(
      architecture, maximumImages: 2 * batch, side: configuration.imageSize, keepsActivations: false,
      precision: definition.precision)
    func headWorkspace(rows: Int, keepsActivations: Bool) -> HeadWorkspace {
      HeadWorkspace(
        architecture, maximumRows: rows, keepsActivations: keepsActivations, precision: definition.precision)
    }
    teacherHead = headWorkspace(rows: 2 * batch, keepsActivations: false)
    studentHead = headWorkspace(rows: largest * batch, keepsActivations: true)
    func matrix(_ rows: Int, _ columns: Int) -> Matrix {
      FloatBuffer(count: rows * columns).matrix(rows: rows, columns: columns)
    }
    teacherFeatures = matrix(2 * batch, architecture.embedDim)
    teacherEmbeddings = matrix(2 * batch, architecture.bottleneckDim)
    features = matrix(views * batch, architecture.embedDim)
    featureGradient = matrix(views * batch, architecture.embedDim)
    embeddings = matrix(views * batch, architecture.bottleneckDim)
    embeddingGradient = matrix(views * batch, architecture.bottleneckDim)
    let statistics = definition.statisticsLayout.count
    studentStatistics = statistics > 0 ? FloatBuffer(count: statistics) : nil
    teacherStatistics = statistics > 0 ? FloatBuffer(count: statistics) : nil
  }

  private static func makeGroups(_ definition: RunDefinition) throws -> [ViewGroup] {
    let configuration = definition.configuration
    // With BatchNorm all groups wait for the head together; without, one follows the other in the same memory.
    let shared =
      configuration.useBNInHead
      ? nil : FloatBuffer(count: definition.viewGroups.map(definition.activationFloats).max()!)
    return try definition.viewGroups.map { range in
      let side = definition.side(of: range)
      let images = range.count * configuration.sliceSize
      let pixels = 3 * side * side
      return ViewGroup(
        views: range, pixels: FloatBuffer(count: images * pixels).matrix(rows: images, columns: pixels),
        workspace: try BackboneWorkspace(
          definition.architecture, maximumImages: images, side: side, keepsActivations: true,
          precision: definition.precision, memory: shared))
    }
  }
}

// MARK: - The slice

extension SliceComputer {
  /// Computes one slice.
  ///
  /// - Parameters:
  ///   - student: and `teacher`: the step's weights, laid out by `definition.layout`, in its precision; only read.
  ///   - blocks: the step's memory blocks, each `[blockSize, bottleneckDim]`, in that precision; only read.
  ///   - gradient: laid out by `definition.layout`; cleared first, and part of the result.
  ///   - lost: pictures that others take the places of, as if they did not decode.
  ///   - bytes: gives a picture's JPEG bytes by its index in the data set; what it throws is passed on.
  public func compute(
    step: Int, slice: Int, student: NetworkWeights, teacher: NetworkWeights, blocks: [Factor],
    into gradient: FloatBuffer,
    without lost: Set<Int> = [], bytes: @escaping (Int) throws -> [UInt8]
  ) throws -> SliceSum {
    let indices = definition.pictures(step: step, slice: slice)
    let undecodable = try cutViews(of: indices, step: step, without: lost, bytes: bytes)
    let draws = groups.map { dropPath(step: step, indices: indices, views: $0.views) }
    return compute(
      step: step, slice: slice, draws: draws, student: student, teacher: teacher, blocks: blocks, into: gradient,
      undecodable: undecodable)
  }

  /// Computes one slice as `compute` does, to the same bits, and looks at every layer on the way.
  ///
  /// - Returns: the slice, and where its first value that is not finite appeared; nil if all are finite.
  /// - Complexity: a few percent more than `compute`.
  public func computeWatching(
    step: Int, slice: Int, student: NetworkWeights, teacher: NetworkWeights, blocks: [Factor],
    into gradient: FloatBuffer,
    without lost: Set<Int> = [], bytes: @escaping (Int) throws -> [UInt8]
  ) throws -> (sum: SliceSum, firstNotFinite: NotFinitePlace?) {
    let watch = NotFiniteWatch(pictures: definition.pictures(step: step, slice: slice))
    watch.look(definition.layout, student: student.floats, teacher: teacher.floats, blocks: blocks)
    self.watch = watch
    observe(watch)
    defer {
      self.watch = nil
      observe(nil)
    }
    let sum = try compute(
      step: step, slice: slice, student: student, teacher: teacher, blocks: blocks, into: gradient,
      without: lost, bytes: bytes)
    // Backward goes from the last tensor to the first.
    watch.look(.parameterGradient, definition.layout.tensors.reversed(), gradient)
    return (sum, watch.first)
  }

  private func observe(_ watch: NotFiniteWatch?) {
    teacherWorkspace.observer = watch?.observer(.teacher)
    teacherHead.observer = watch?.observer(.teacher)
    studentHead.observer = watch?.observer(.student)
    for group in groups { group.workspace.observer = watch?.observer(.student) }
  }

  /// Computes one slice of views that are ready-made, without stochastic depth: what golden cases hold.
  ///
  /// - Parameter views: one a view, `[sliceSize, 3 * side * side]`, channels first, normalised.
  public func compute(
    step: Int, slice: Int, views: [Matrix], student: NetworkWeights, teacher: NetworkWeights, blocks: [Factor],
    into gradient: FloatBuffer
  ) -> SliceSum {
    let batch = definition.configuration.sliceSize
    invariant(views.count == definition.configuration.viewsPerImage, "\(views.count) views")
    for group in groups {
      for (place, view) in group.views.enumerated() {
        copy(views[view], into: group.pixels.rows(place * batch..<(place + 1) * batch))
      }
    }
    return compute(
      step: step, slice: slice, draws: groups.map { _ in nil }, student: student, teacher: teacher, blocks: blocks,
      into: gradient, undecodable: [])
  }

  /// `[views * sliceSize, bottleneckDim]`, view-major: the student's embeddings of the last slice.
  public var studentEmbeddings: Matrix { embeddings }

  /// `[2 * sliceSize, bottleneckDim]`, view-major: the teacher's embeddings of the last slice.
  public var lastTeacherEmbeddings: Matrix { teacherEmbeddings }

  /// Decodes the slice's pictures and cuts all their views into the groups' pixels.
  private func cutViews(
    of indices: [Int], step: Int, without lost: Set<Int>, bytes: @escaping (Int) throws -> [UInt8]
  ) throws -> [UndecodablePicture] {
    let source = PictureSource(
      count: definition.pictures, without: lost, upright: definition.configuration.exifOrientation, read: bytes)
    let epoch = definition.epoch(ofStep: step)
    var undecodable: [UndecodablePicture] = []
    for (place, index) in indices.enumerated() {
      let (picture, failures) = try source.picture(index)
      undecodable += failures.map { UndecodablePicture(picture: $0.index, reason: $0.reason) }
      for group in groups {
        for view in group.views {
          let row = (view - group.views.lowerBound) * indices.count + place
          sampler.writeView(view, of: picture, image: index, epoch: epoch, into: group.pixels.row(at: row))
        }
      }
    }
    return undecodable
  }

  /// Which branches the group's images skip: one stream of numbers for each image and view.
  private func dropPath(step: Int, indices: [Int], views: Range<Int>) -> DropPathDraw? {
    guard definition.architecture.dropPathRate > 0 else { return nil }
    var streams = views.flatMap { view in
      indices.map { index in
        RandomStream(
          RandomKey(
            seed: definition.configuration.seed, purpose: .dropPath, step: UInt64(step), image: UInt64(index),
            view: UInt32(view)))
      }
    }
    return DropPathDraw(definition.architecture, images: streams.count) { image, _, rate in
      streams[image].bool(probability: Double(rate))
    }
  }

  private func compute(
    step: Int, slice: Int, draws: [DropPathDraw?], student: NetworkWeights, teacher: NetworkWeights,
    blocks: [Factor], into gradient: FloatBuffer, undecodable: [UndecodablePicture]
  ) -> SliceSum {
    let configuration = definition.configuration
    let batch = configuration.sliceSize
    fill(gradient.vector, with: 0)
    fill(embeddingGradient, with: 0)

    for group in groups {
      watch?.firstView = group.views.lowerBound
      watch?.look(.pixels, nil, Factor(group.pixels), of: Array(0..<group.pixels.rows))
    }

    // 1. Teacher: what the student is to agree with, and the rows that the memory will gain.
    watch?.firstView = 0
    backbone.forward(groups[0].pixels, weights: teacher, workspace: teacherWorkspace, into: teacherFeatures)
    head.forward(
      teacherFeatures, weights: teacher, workspace: teacherHead, into: teacherEmbeddings,
      statistics: teacherStatistics)
    loss.begin(teacher: teacherEmbeddings, temperature: definition.teacherTemperature[step])

    // 2. Student, forward, loss and backward.
    var consistency = 0.0
    var spread = 0.0
    if configuration.useBNInHead {
      for (group, draw) in zip(groups, draws) { forward(group, draw, student) }
      watch?.firstView = 0
      head.forward(
        features, weights: student, workspace: studentHead, into: embeddings, statistics: studentStatistics)
      consistency = loss.add(student: embeddings, firstView: 0, blocks: blocks, to: embeddingGradient)
      watchLoss("consistency", consistency, embeddingGradient)
      spread = addKoLeo()
      watchLoss("koleo", spread, embeddingGradient)
      head.backward(
        embeddingGradient, weights: student, workspace: studentHead, into: featureGradient, gradient: gradient)
      for group in groups { backward(group, student, gradient) }
    } else {
      for (group, draw) in zip(groups, draws) {
        let rows = rows(of: group)
        forward(group, draw, student)
        head.forward(
          features.rows(rows), weights: student, workspace: studentHead, into: embeddings.rows(rows))
        consistency += loss.add(
          student: embeddings.rows(rows), firstView: group.views.lowerBound, blocks: blocks,
          to: embeddingGradient.rows(rows))
        watchLoss("consistency", consistency, embeddingGradient.rows(rows))
        if group.views.lowerBound == 0 {
          spread = addKoLeo()
          watchLoss("koleo", spread, embeddingGradient.rows(rows))
        }
        head.backward(
          embeddingGradient.rows(rows), weights: student, workspace: studentHead,
          into: featureGradient.rows(rows), gradient: gradient)
        backward(group, student, gradient)
      }
    }

    // 3. What stays apart slice by slice: the teacher's embeddings of view 1, and the statistics.
    let tail = FloatBuffer(count: definition.floatsPerSlice)
    copy(
      teacherEmbeddings.rows(batch..<2 * batch),
      into: tail.matrix(at: 0, rows: batch, columns: configuration.bottleneckDim))
    if let studentStatistics, let teacherStatistics {
      let count = studentStatistics.count
      copy(studentStatistics.vector, into: tail.vector(at: definition.rowFloats, count: count))
      copy(teacherStatistics.vector, into: tail.vector(at: definition.rowFloats + count, count: count))
    }
    return SliceSum(
      slices: SliceRange(first: slice, count: 1), gradient: gradient, tail: tail,
      losses: [
        SliceLoss(
          consistency: consistency, koleo: configuration.koleoWeight * spread, targetEntropy: loss.targetEntropy)
      ],
      chosen: chosen(step: step), undecodable: undecodable)
  }

  /// The slots of the rows that were nearest to a teacher view.
  private func chosen(step: Int) -> [UInt8] {
    // Which row is in a slot plays no part.
    let order = definition.blockDraw(of: MemoryVersion(step: step, rows: 0))
    var marks = SlotMarks(size: definition.configuration.memorySize)
    let rows = 2 * definition.configuration.sliceSize
    for (index, position) in loss.nearest.enumerated() {
      marks.mark(order.slot(block: index / rows, position: position))
    }
    return marks.bytes
  }

  private func rows(of group: ViewGroup) -> Range<Int> {
    let batch = definition.configuration.sliceSize
    return group.views.lowerBound * batch..<group.views.upperBound * batch
  }

  private func forward(_ group: ViewGroup, _ draw: DropPathDraw?, _ student: NetworkWeights) {
    watch?.firstView = group.views.lowerBound
    backbone.forward(
      group.pixels, weights: student, draw: draw, workspace: group.workspace,
      into: features.rows(rows(of: group)))
  }

  private func backward(_ group: ViewGroup, _ student: NetworkWeights, _ gradient: FloatBuffer) {
    watch?.firstView = group.views.lowerBound
    backbone.backward(
      featureGradient.rows(rows(of: group)), weights: student, workspace: group.workspace, gradient: gradient)
  }

  /// Looks at a part of the loss, and at the embeddings' gradient as it leaves it.
  private func watchLoss(_ name: String, _ value: Double, _ gradient: Matrix) {
    guard let watch else { return }
    watch.look(.loss, name, Factor(gradient), of: Array(0..<gradient.rows))
    watch.note(.loss, name, isFinite: value.isFinite)
  }

  /// KoLeo of the two global views, without its weight.
  private func addKoLeo() -> Double {
    guard koleo != nil else { return 0 }
    let batch = definition.configuration.sliceSize
    var value = 0.0
    for view in 0..<2 {
      let rows = view * batch..<(view + 1) * batch
      value += koleo!.add(
        embeddings: embeddings.rows(rows), weight: definition.configuration.koleoWeight,
        to: embeddingGradient.rows(rows))
    }
    return value
  }
}
