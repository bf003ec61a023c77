"""Frames of 16 x 8 px as gdcm and dcmtk compress them; tests/sources_coded.rs has the formulas of their pixels.
Needs pydicom 3, numpy, and the programs gdcmconv, dcmcjpeg, dcmcjpls."""
import numpy as np, pydicom, subprocess, os
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
def make(name, arr, bits=8, photometric=None):
    d=Dataset(); d.file_meta=FileMetaDataset(); d.file_meta.TransferSyntaxUID=ExplicitVRLittleEndian
    d.SOPClassUID='1.2.840.10008.5.1.4.1.1.6.1'; d.SOPInstanceUID='1.2.3.4'; d.file_meta.MediaStorageSOPClassUID=d.SOPClassUID; d.file_meta.MediaStorageSOPInstanceUID='1.2.3.4'
    d.StudyInstanceUID='1.2.3';d.SeriesInstanceUID='1.2.3.1'
    d.Modality='US'; d.Rows,d.Columns=arr.shape[:2]; d.SamplesPerPixel=3 if arr.ndim==3 else 1
    d.PhotometricInterpretation=photometric or ('RGB' if arr.ndim==3 else 'MONOCHROME2')
    if arr.ndim==3: d.PlanarConfiguration=0
    d.BitsAllocated=8 if bits==8 else 16; d.BitsStored=bits; d.HighBit=bits-1; d.PixelRepresentation=0
    d.PixelData=arr.astype('u1' if bits==8 else '<u2').tobytes(); d.save_as(name, enforce_file_format=True)
y,x=np.mgrid[0:8,0:16]
rgb=np.stack([(x*13+y*7)%256,(x*5+y*29)%256,(200-x*11+y*3)%256],-1)
make('rgb.dcm',rgb); make('g12.dcm',(x*251+y*17)%4096,12); make('g8.dcm',(x*16+y)%256)
ybr=np.stack([(x*13+y*7)%256,(100+x*5)%256,(90+y*9)%256],-1); make('ybr.dcm',ybr,8,'YBR_FULL')
for out,cmd in {'rgb_j2k':['gdcmconv','--j2k','rgb.dcm'],'g12_j2k':['gdcmconv','--j2k','g12.dcm'],'rgb_jls':['gdcmconv','--jpegls','rgb.dcm'],'rgb_jls_dcmtk':['dcmcjpls','rgb.dcm'],'g12_jls':['gdcmconv','--jpegls','g12.dcm'],'rgb_ll':['dcmcjpeg','+e1','rgb.dcm'],'ybr_ll':['dcmcjpeg','+e1','ybr.dcm'],'rgb_llg':['gdcmconv','--jpeg','rgb.dcm'],'g12_ll':['gdcmconv','--jpeg','g12.dcm']}.items():
    f=out+'.dcm'
    r=subprocess.run([*cmd,f],capture_output=True,text=True)
    if not os.path.exists(f): print(out,'FAILED',r.stderr[-200:]); continue
    d=pydicom.dcmread(f); frame=next(pydicom.encaps.generate_frames(d.PixelData,number_of_frames=1))
    open(out+'.bin','wb').write(frame); print(out,len(frame),d.PhotometricInterpretation,d.file_meta.TransferSyntaxUID, frame[:4].hex())
