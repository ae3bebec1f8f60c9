import Checkpoints
import Configuration
import Networks
import Numerics
import Optimization
import Training

/// Replays training steps: views, weights, memory and the order of its slots are given; embeddings, loss, gradients,
/// next weights and next memory are compared.
enum TrainingCase {
  static func replay(_ fields: CaseFields, _ tensors: SafetensorsFile) throws -> [GoldenCase.Comparison] {
    let steps = try fields.integer("steps")
    let definition = try definition(fields, steps: steps)
    let computer = try SliceComputer(definition)
    let rates = try fields.numbers("lr")
    let decay = try fields.number("weight_decay")
    let momentum = try fields.number("momentum_teacher")
    var worst = Worst()

    var student = try tensors.parameters(definition.layout, prefix: "step0.student.")
    var teacher = try tensors.parameters(definition.layout, prefix: "step0.teacher.")
    var state = definition.optimizer.makeState()
    for step in 0..<steps {
      let prefix = "step\(step)."
      let gradient = FloatBuffer(count: definition.layout.count)
      let sum = computer.compute(
        step: step, slice: 0, views: try views(prefix, definition, tensors),
        student: NetworkWeights(student, definition.precision), teacher: NetworkWeights(teacher, definition.precision),
        blocks: try blocks(prefix, definition, tensors).map { $0.rounded(to: definition.precision) }, into: gradient)

      // 1. Forward.
      try worst.add("student embeddings", computer.studentEmbeddings.array, tensors, prefix + "student_embeddings")
      try worst.add(
        "teacher embeddings", computer.lastTeacherEmbeddings.array, tensors, prefix + "teacher_embeddings")
      try worst.add("loss", [Float(sum.losses[0].total)], tensors, prefix + "loss")
      try worst.add("loss, consistency", [Float(sum.losses[0].consistency)], tensors, prefix + "loss_ce")

      // 2. Backward.
      let references = try definition.layout.tensors.map { try tensors.floats(of: prefix + "gradient." + $0.name) }
      let largest = references.map(scale).max() ?? 0
      for (tensor, theirs) in zip(definition.layout.tensors, references) {
        worst.add(
          "gradients", largestDifference(Array(gradient.array[tensor.range]), theirs),
          bound: 1e-4 * scale(theirs) + 1e-5 * largest)
      }

      // 3. Update.
      let nextStudent = FloatBuffer(count: definition.layout.count)
      let nextTeacher = FloatBuffer(count: definition.layout.count)
      var nextState = definition.optimizer.makeState()
      definition.optimizer.update(
        student, gradient: gradient, state: state, learningRate: rates[step], weightDecay: decay, into: nextStudent,
        &nextState)
      averageTeacher(teacher, student: nextStudent, momentum: momentum, into: nextTeacher)
      state = nextState
      for (tensor, gradient) in zip(definition.layout.tensors, references) {
        let name = tensor.name
        let rate = rates[0...step].reduce(0, +)
        let theirStudent = try tensors.floats(of: "step\(step + 1).student." + name)
        let theirTeacher = try tensors.floats(of: "step\(step + 1).teacher." + name)
        let bounds = gradient.indices.map { index in
          definition.configuration.optimizer == .adamw
            ? (Double(gradient[index].magnitude) > 1e-4 * largest ? 0.05 : 2.1) * rate
            : 1e-5 * scale(theirStudent)
        }
        worst.add(
          "student after the update", Array(nextStudent.array[tensor.range]), theirStudent, bounds: bounds)
        worst.add(
          "teacher after the update", Array(nextTeacher.array[tensor.range]), theirTeacher,
          bounds: zip(bounds, theirTeacher).map { (1 - momentum) * $0 + 1e-7 * Double($1.magnitude) })
      }

      // 4. Enqueue.
      let memory = try enqueued(sum, prefix, definition, tensors)
      try worst.add("memory", memory, tensors, "step\(step + 1).memory")
      (student, teacher) = (nextStudent, nextTeacher)
    }
    return worst.comparisons
  }

  /// The run of a case.
  static func definition(
    _ fields: CaseFields, steps: Int, precision: PrecisionName = .fp32
  ) throws -> RunDefinition {
    var configuration = RunConfiguration()
    configuration.precision = precision
    configuration.embedDim = try fields.integer("embed_dim")
    configuration.depth = try fields.integer("depth")
    configuration.numHeads = try fields.integer("heads")
    configuration.patchSize = try fields.integer("patch_size")
    configuration.imageSize = try fields.integer("image_size")
    configuration.localSize = try fields.integer("local_size")
    configuration.localCropsNumber = try fields.integer("local_crops")
    configuration.headHiddenDim = try fields.integer("head_hidden")
    configuration.bottleneckDim = try fields.integer("bottleneck")
    configuration.useBNInHead = try fields.flag("use_bn_in_head")
    configuration.useMeanPooling = try fields.flag("use_mean_pooling")
    configuration.registers = try fields.registers
    configuration.layerScale = try fields.layerScale
    configuration.dropPathRate = 0
    configuration.batchSize = try fields.integer("batch")
    configuration.sliceSize = configuration.batchSize
    configuration.epochs = Double(steps)
    configuration.memorySize = try fields.integer("memory_size")
    configuration.blockSize = try fields.integer("block_size")
    configuration.studentTemp = try fields.number("student_temp")
    configuration.teacherTemp = try fields.number("teacher_temp")
    configuration.warmupTeacherTemp = configuration.teacherTemp
    configuration.warmupTeacherTempEpochs = 0
    configuration.koleoWeight = try fields.number("koleo_weight")
    configuration.clipGrad = try fields.number("clip_grad")
    let optimizer = try fields.text("optimizer")
    guard let name = OptimizerName(rawValue: optimizer) else {
      throw VerificationError.notACase(fields.path, problem: "the optimizer '\(optimizer)' is not known")
    }
    configuration.optimizer = name
    guard try fields.numbers("lr").count >= steps else {
      throw VerificationError.notACase(fields.path, problem: "'lr' has fewer than \(steps) values")
    }
    return try RunDefinition(configuration: configuration, pictures: configuration.batchSize)
  }

  static func views(_ prefix: String, _ definition: RunDefinition, _ tensors: SafetensorsFile) throws
    -> [Matrix]
  {
    try (0..<definition.configuration.viewsPerImage).map { view in
      let values = try tensors.floats(of: prefix + "crop\(view)")
      let batch = definition.configuration.sliceSize
      return FloatBuffer(values).matrix(rows: batch, columns: values.count / batch)
    }
  }

  static func blocks(_ prefix: String, _ definition: RunDefinition, _ tensors: SafetensorsFile) throws
    -> [Matrix]
  {
    let (width, size) = (definition.configuration.bottleneckDim, definition.configuration.blockSize)
    let memory = FloatBuffer(try tensors.floats(of: prefix + "memory"))
      .matrix(rows: definition.configuration.memorySize, columns: width)
    let slots = try tensors.integers(of: prefix + "permutation")
    return stride(from: 0, to: slots.count, by: size).map { start in
      let block = FloatBuffer(count: size * width).matrix(rows: size, columns: width)
      gatherRows(from: memory, Array(slots[start..<start + size]), into: block)
      return block
    }
  }

  /// The memory after the step: the slice's rows at the ring pointer.
  private static func enqueued(
    _ sum: SliceSum, _ prefix: String, _ definition: RunDefinition, _ tensors: SafetensorsFile
  ) throws -> [Float] {
    var memory = try tensors.floats(of: prefix + "memory")
    let width = definition.configuration.bottleneckDim
    let pointer = try tensors.integers(of: prefix + "memory_pointer")[0]
    for row in 0..<definition.configuration.sliceSize {
      let slot = (pointer + row) % definition.configuration.memorySize
      for column in 0..<width { memory[slot * width + column] = sum.tail[row * width + column] }
    }
    return memory
  }
}

/// For each quantity the comparison that came nearest to its bound, or passed it by most.
private struct Worst {
  private(set) var comparisons: [GoldenCase.Comparison] = []

  mutating func add(_ quantity: String, _ difference: Double, bound: Double) {
    let comparison = GoldenCase.Comparison(quantity: quantity, difference: difference, bound: bound)
    guard let index = comparisons.firstIndex(where: { $0.quantity == quantity }) else {
      comparisons.append(comparison)
      return
    }
    let old = comparisons[index]
    if comparison.difference * old.bound > old.difference * comparison.bound { comparisons[index] = comparison }
  }

  /// Element by element, each with its own bound.
  mutating func add(_ quantity: String, _ ours: [Float], _ theirs: [Float], bounds: [Double]) {
    guard ours.count == theirs.count else { return add(quantity, .infinity, bound: 0) }
    for index in ours.indices {
      add(quantity, (Double(ours[index]) - Double(theirs[index])).magnitude, bound: bounds[index])
    }
  }

  /// Embeddings, rows, loss: 5e-5 of the reference's largest value.
  mutating func add(_ quantity: String, _ ours: [Float], _ tensors: SafetensorsFile, _ name: String) throws {
    let theirs = try tensors.floats(of: name)
    add(quantity, largestDifference(ours, theirs), bound: 5e-5 * scale(theirs))
  }
}
