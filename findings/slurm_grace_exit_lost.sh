#!/usr/bin/env bash
# Slurm 22.05.8 (Debian 12): a job that obeys SIGTERM in its time of grace is not queued again, although --requeue says so.
#
# Guess before running: a job that saves its state and ends when it is told to is queued again, as one that has to be killed is.
# Seen: in a partition with PreemptMode=REQUEUE and GraceTime, the job that ends by itself is over, with no trace in squeue; the one that
# ignores SIGTERM until it is killed is PENDING, to be started again.
# Hurts: trainings that checkpoint at SIGTERM and exit, as most handlers of frameworks do: on a preemptible partition they are lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; sleep 2; rm -rf "$folder"' EXIT
cd "$folder"
version=22.05.8-4+deb12u3
apt-get -qq -o APT::Sandbox::User=root download {slurmctld,slurmd,slurm-client,slurm-wlm-basic-plugins}=$version
for package in *.deb; do dpkg -x "$package" .; done
export PATH="$folder/usr/bin:$folder/usr/sbin:$PATH" LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu/slurm-wlm"
export SLURM_CONF="$folder/slurm.conf"
host=$(hostname -s)
mkdir state spool
cat > slurm.conf <<CONF
ClusterName=finding
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
PluginDir=$LD_LIBRARY_PATH
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 GraceTime=8
PartitionName=high Nodes=$host PriorityTier=2
CONF
slurmctld-wlm -D 2> slurmctld.log &
slurmd-wlm -D -d "$folder/usr/sbin/slurmstepd-wlm" 2> slurmd.log &
for _ in $(seq 60); do sinfo -h 2> /dev/null | grep -q idle && break; sleep 1; done
printf '#!/bin/bash\ntrap "exit 0" TERM\nwhile :; do sleep 0.2; done\n' > obeys.sh
printf '#!/bin/bash\ntrap "" TERM\nwhile :; do sleep 0.2; done\n' > ignores.sh
for kind in obeys ignores; do
    job=$(sbatch --parsable --requeue --output=/dev/null --wrap "exec srun bash $folder/$kind.sh")
    until [ "$(squeue -h -j "$job" -o %T)" = RUNNING ]; do sleep 0.5; done
    sleep 2
    urgent=$(sbatch --parsable --partition=high --output=/dev/null --wrap "sleep 20")
    until [ "$(squeue -h -j "$urgent" -o %T)" = RUNNING ]; do sleep 0.5; done
    echo "$kind SIGTERM: $(squeue -h -j "$job" -o %T 2> /dev/null || true)" | tee -a seen
    scancel "$urgent" "$job" 2> /dev/null || true
    until [ -z "$(squeue -h)" ]; do sleep 0.5; done
done
grep -qx "obeys SIGTERM: " seen && grep -qx "ignores SIGTERM: PENDING" seen || { echo "the behaviour has changed"; exit 1; }
