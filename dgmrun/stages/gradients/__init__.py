from dgmrun.stages.gradients.work import check, main
