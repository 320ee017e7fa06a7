from dgmrun.stages.sample.work import check, main
