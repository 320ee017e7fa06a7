import numpy as np, time, torch
r=np.random.default_rng(0); f=np.float32
v=(r.random((200,784))<.13).astype(f); W=r.standard_normal((784,500)).astype(f); g=r.standard_normal((200,500)).astype(f); h=g[:100].copy()
def t(n,fn,k=200):
    ts=[]
    for _ in range(k): s=time.perf_counter(); fn(); ts.append(time.perf_counter()-s)
    ts.sort(); print(f"{n:30s} min {ts[0]*1e3:.3f} q10 {ts[k//10]*1e3:.3f} med {ts[k//2]*1e3:.3f}")
tv,tW,tg,th=map(torch.from_numpy,(v,W,g,h))
for _ in range(2):
    t("numpy v@W",lambda: v@W); t("torch v@W",lambda: tv@tW)
    t("numpy h@W.T",lambda: h@W.T); t("torch h@W.T",lambda: th@tW.t())
    t("numpy v.T@g",lambda: v.T@g); t("torch v.T@g",lambda: tv.t()@tg)
