/// What must hold between keys, a sentence each; the ranges of single keys are in `ConfigurationKey.all`.

extension RunConfiguration {
  /// A sentence for everything that does not fit together; empty if all does.
  public func inconsistencies() -> [String] {
    sizeInconsistencies() + batchInconsistencies() + memoryInconsistencies() + scheduleInconsistencies()
  }

  private func sizeInconsistencies() -> [String] {
    var found: [String] = []
    if embedDim % numHeads != 0 {
      found.append("num_heads \(numHeads) must divide embed_dim \(embedDim)\(nearby(divisorsOf: embedDim, numHeads)).")
    }
    if layerScale > 0, Float(layerScale) < Float.leastNormalMagnitude {
      found.append("layer_scale \(layerScale) is too small for a float. Give 0 for none, or a number such as 1e-5.")
    }
    for (key, size) in [("image_size", imageSize), ("local_size", localSize)] where size % patchSize != 0 {
      let below = size / patchSize * patchSize
      let fitting = below > 0 ? "\(below) or \(below + patchSize)" : "\(patchSize)"
      found.append("patch_size \(patchSize) must divide \(key) \(size); \(fitting) would fit.")
    }
    return found
  }

  /// As many as a message can name.
  package static let slicesPerStepAtMost = 65_536

  private func batchInconsistencies() -> [String] {
    var found: [String] = []
    if batchSize % sliceSize != 0 {
      found.append(
        "slice_size \(sliceSize) must divide batch_size \(batchSize)\(nearby(divisorsOf: batchSize, sliceSize)).")
    }
    if batchSize % sliceSize == 0, slicesPerStep > Self.slicesPerStepAtMost {
      found.append(
        "slice_size \(sliceSize) makes \(slicesPerStep) slices of batch_size \(batchSize); at most "
          + "\(Self.slicesPerStepAtMost) can be. Give larger slices.")
    }
    if koleoWeight > 0, sliceSize < 2 {
      found.append(
        "koleo_weight \(koleoWeight) needs slice_size of at least 2, not \(sliceSize): "
          + "KoLeo compares the pictures of a slice.")
    }
    if useBNInHead, sliceSize < 2 {
      found.append(
        "use_bn_in_head needs slice_size of at least 2, not \(sliceSize): its statistics run over a slice.")
    }
    return found
  }

  private func memoryInconsistencies() -> [String] {
    guard memorySize % blockSize == 0 else {
      let fitting = nearby(divisorsOf: memorySize, blockSize)
      return ["block_size \(blockSize) must divide memory_size \(memorySize)\(fitting)."]
    }
    guard blocksPerStep <= blocksInMemory else {
      return [
        "blocks_per_step \(blocksPerStep) is more than the \(blocksInMemory) blocks of memory_size \(memorySize). "
          + "Give 0 for all."
      ]
    }
    guard blockSize % memoryGranule == 0 else {
      let fitting = nearby(divisorsOf: blockSize, memoryGranule)
      return ["memory_granule \(memoryGranule) must divide block_size \(blockSize)\(fitting)."]
    }
    guard batchSize <= memorySize else {
      return ["batch_size \(batchSize) is more than memory_size \(memorySize), which takes one row a picture."]
    }
    return []
  }

  private func scheduleInconsistencies() -> [String] {
    var found: [String] = []
    if warmupSteps == nil, warmupEpochs > epochs {
      found.append("warmup_epochs \(plain(warmupEpochs)) is longer than the run of \(plain(epochs)) epochs.")
    }
    if warmupTeacherTempEpochs > epochs {
      found.append(
        "warmup_teacher_temp_epochs \(plain(warmupTeacherTempEpochs)) is longer than the run of \(plain(epochs)) epochs."
      )
    }
    return found
  }

  /// "; 12 or 16 would fit": the divisors around a number that is none.
  /// - Complexity: O(√whole), a million for the largest memory.
  private func nearby(divisorsOf whole: Int, _ part: Int) -> String {
    var (below, above) = (1, whole)
    var divisor = 1
    while divisor * divisor <= whole {
      if whole % divisor == 0 {
        for fitting in [divisor, whole / divisor] {
          if fitting <= part { below = max(below, fitting) } else { above = min(above, fitting) }
        }
      }
      divisor += 1
    }
    // Not further than four times the number: nobody means that one.
    let fitting = (part < whole && above <= 4 * part ? [below, above] : [below]).map(String.init)
    return "; \(fitting.joined(separator: " or ")) would fit"
  }
}

// MARK: - Against the data set

extension RunConfiguration {
  /// Pictures in a data set: so many that the steps of a run of them, and the pictures in its steps, can be counted.
  public static let picturesAtMost = 1 << 40

  /// Refuses a batch that the data set cannot fill once an epoch, and a data set of more pictures than there are.
  public func check(pictures: Int) throws(ConfigurationError) {
    guard pictures <= Self.picturesAtMost else {
      throw .inconsistent(["a data set of \(pictures) pictures is larger than the \(Self.picturesAtMost) there may be."]
      )
    }
    guard batchSize <= pictures else {
      let advice = pictures > 0 ? "Give batch_size of at most \(pictures)." : "Give a folder with pictures."
      throw .inconsistent(["batch_size \(batchSize) is larger than the data set of \(pictures) pictures. \(advice)"])
    }
  }
}

// MARK: - Warnings

extension RunConfiguration {
  /// A sentence for everything that is allowed and probably not meant.
  public func warnings() -> [String] {
    var found: [String] = []
    if useBNInHead, sliceSize < 32, sliceSize < batchSize {
      found.append(
        "use_bn_in_head takes its statistics over slices of \(sliceSize) pictures; "
          + "with fewer than 32 they are too noisy to train by.")
    }
    if precision == .bf16, computeClass == .avx512 {
      found.append(
        "precision bf16 is emulated in compute_class avx512, and slower than fp32: give compute_class avx512_bf16 or amx "
          + "on a processor that multiplies bf16 itself, or precision fp32.")
    }
    if minLR > scaledLR {
      found.append("min_lr \(minLR) is above lr scaled by the batch, \(scaledLR): the learning rate will rise.")
    }
    return found
  }
}
